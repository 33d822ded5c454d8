-- name: add_partitions
select add_day_partitions((now() at time zone 'UTC')::date + $1::integer, 1)
