-- name: tokens_add
insert into tokens (id, name, hash, scopes, buyer, source, switch)
values ($1, $2, $3, $4, $5, $6, $7)
returning created_at

-- name: tokens_revoke
update tokens set revoked_at = now() where id = $1 and revoked_at is null
returning id

-- name: tokens_list
select id, name, scopes, buyer, source, switch, created_at, revoked_at
from tokens
order by created_at, id

-- name: tokens_valid
select id, name, hash, scopes, buyer, source, switch
from tokens
where revoked_at is null

-- name: tokens_revision
select revision from token_revision

-- name: tokens_announce
with next as (update token_revision set revision = revision + 1 returning revision)
select pg_notify('pingpost_tokens', revision::text) from next
