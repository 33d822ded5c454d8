-- name: keys_add
insert into service_keys (name, wrapped) values ($1, $2)
on conflict (name) do nothing

-- name: keys_get
select wrapped from service_keys where name = $1

-- name: keys_lock
select name, wrapped from service_keys order by name for update

-- name: keys_any
select name, wrapped from service_keys order by name limit 1

-- name: keys_wrap_anew
update service_keys as k set wrapped = item.wrapped
from unnest($1::text[], $2::bytea[]) as item (name, wrapped)
where k.name = item.name

-- name: sealed_items
select kind, id, first_revision, document
from catalogue_items
where document::text like '%"sealed"%'
order by kind, id, first_revision

-- name: seal_items_anew
update catalogue_items as i set document = item.document
from unnest($1::text[], $2::text[], $3::bigint[], $4::json[]) as item (kind, id, first_revision, document)
where i.kind = item.kind and i.id = item.id and i.first_revision = item.first_revision

-- name: sealed_patches
select id, patch as document
from scheduled_changes
where patch::text like '%"sealed"%'
order by id
for update

-- name: seal_patches_anew
update scheduled_changes as s set patch = item.document
from unnest($1::text[], $2::json[]) as item (id, document)
where s.id = item.id

-- name: repeat_revision
-- A new revision with nothing changed: whoever works on the one before looks again.
insert into catalogue_revisions (revision, origin, actor, file_name, file_digest, note)
select revision + 1, origin, actor, file_name, file_digest, $1
from catalogue_revisions
order by revision desc
limit 1
returning revision
