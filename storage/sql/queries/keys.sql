-- name: keys_add
insert into service_keys (name, wrapped) values ($1, $2)
on conflict (name) do nothing

-- name: keys_get
select wrapped from service_keys where name = $1
