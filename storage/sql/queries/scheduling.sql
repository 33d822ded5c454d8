-- name: scheduled_add
insert into scheduled_changes (id, kind, item_id, patch, effective_at, actor)
values ($1, $2, $3, $4, $5, $6)
returning *

-- name: scheduled_pending
select count(*) from scheduled_changes where state = 'pending'

-- name: scheduled_one
select * from scheduled_changes where id = $1

-- name: scheduled_list
select *
from scheduled_changes
where ($1::timestamptz is null or (effective_at, id) > ($1, $2))
  and ($3::text is null or state = $3)
  and ($4::text is null or kind = $4)
  and ($5::text is null or item_id = $5)
order by effective_at, id
limit $6

-- name: scheduled_cancel
update scheduled_changes
set state = 'cancelled', settled_at = clock_timestamp()
where id = $1 and state = 'pending'
returning *

-- name: scheduled_any_due
select exists (select from scheduled_changes where state = 'pending' and effective_at <= clock_timestamp())

-- name: scheduled_due
select *
from scheduled_changes
where state = 'pending' and effective_at <= clock_timestamp()
order by effective_at, id
limit 1
for update

-- name: scheduled_settle
update scheduled_changes
set state = $2, revision = $3, error = $4, settled_at = clock_timestamp()
where id = $1
