-- name: tokens_add
insert into tokens (
    id, name, hash, scopes, buyer, source, switch, rate_per_second, rate_burst, expires_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
returning created_at

-- name: tokens_revoke
update tokens set revoked_at = now() where id = $1 and revoked_at is null
returning *

-- name: tokens_get
select * from tokens where id = $1

-- name: tokens_list
select * from tokens
where $2::timestamptz is null or (created_at, id) > ($2, $3::text)
order by created_at, id
limit $1

-- name: tokens_valid
select * from tokens
where revoked_at is null and (expires_at is null or expires_at > now())

-- name: tokens_revision
select revision from token_revision

-- name: tokens_announce
with next as (update token_revision set revision = revision + 1 returning revision)
select pg_notify('pingpost_tokens', revision::text) from next
