-- Numbers of pools and the visitors they are lent to. "Live" calls keep a number from being lent again.

-- name: lease_owner_lock
-- Whoever lends under a limit counts and lends alone.
select pg_advisory_xact_lock(7241530, hashtext($1))

-- name: add_pool_numbers
insert into number_leases (number, pool)
select number, $1
from unnest($2::text[]) as given (number)
order by number
on conflict (number) do nothing

-- name: move_pool_numbers
-- A number that comes from another pool: whoever was told it there keeps it until its lease is over, and
-- is lent it anew by nobody. No visitor's session is as short as a number.
update number_leases set
    pool = $1, session = case when lease is not null then convert_to(number, 'UTF8') end
where number = any($2::text[]) and pool <> $1

-- name: drop_pool_numbers
-- Those that the pool has no more: they belong to none, and a lease on one goes on until it is over.
update number_leases set
    pool = '', session = case when lease is not null then convert_to(number, 'UTF8') end
where pool = $1 and number not in (select given from unnest($2::text[]) as given)

-- name: lock_own_lease
select number, lease, kept_until > now() as kept
from number_leases
where pool = $1 and session = $2
for update

-- name: count_lent
-- How many numbers of a pool, and how many of all pools for a source, are lent to others.
select
    (
        select count(*) from number_leases
        where pool = $1 and lease is not null and kept_until > now() and session <> $3
    ) as of_pool,
    (
        select count(*) from number_leases
        where source = $2 and lease is not null and kept_until > now()
            and not (pool = $1 and session = $3)
    ) as of_source

-- name: live_leases
-- Of these numbers of a pool: how many visitors hold one, and until when calls still get their tags.
select count(*) as visitors, max(kept_until) as until
from number_leases
where pool = $1 and number = any($2::text[]) and lease is not null and kept_until > now()

-- name: lock_free_number
-- The number unused for longest. A call that is over frees its number $2 seconds after its end and the
-- last that was heard of its visitor. What was read of a number before it was locked must still stand.
with free as materialized (
    select l.number, l.lease, l.kept_until, l.last_used_at
    from number_leases as l
    left join lateral (
        select
            bool_or(c.state in ('deciding', 'rerouting', 'late', 'routed', 'answered')) as live,
            max(least(coalesce(c.ended_at, c.decided_at, c.received_at), now())) as over_at
        from calls as c
        where c.lease = l.lease
    ) as calls on l.lease is not null
    where l.pool = $1
        and (
            l.lease is null
            or calls.live is not true and (
                l.kept_until <= now()
                or calls.over_at + $2::integer * interval '1 second' <= now()
                and l.last_used_at + $2::integer * interval '1 second' <= now()
            )
        )
    order by l.last_used_at nulls first, l.number
    limit 100
)
select l.number
from free
join number_leases as l
    on l.number = free.number
        and l.lease is not distinct from free.lease
        and l.kept_until is not distinct from free.kept_until
order by free.last_used_at nulls first, free.number
for update of l skip locked
limit 1

-- name: lend_number
update number_leases set
    lease = $2,
    session = $3,
    source = $4,
    sealed = coalesce($5, sealed),
    expires_at = now() + $6::integer * interval '1 second',
    kept_until = now() + ($6::integer + $7::integer) * interval '1 second',
    last_used_at = now()
where number = $1
returning expires_at

-- name: keep_lease
update number_leases set
    expires_at = greatest(expires_at, now() + $3::integer * interval '1 second'),
    kept_until = greatest(expires_at, now() + $3::integer * interval '1 second')
        + $4::integer * interval '1 second',
    last_used_at = now()
where pool = $1 and session = $2 and kept_until > now()
returning number, expires_at

-- name: end_lease
-- Its row tells whose it was until it is lent again: a call on it may still go on.
update number_leases set
    expires_at = least(expires_at, now()), kept_until = now(), last_used_at = now()
where pool = $1 and session = $2 and kept_until > now()
returning number

-- name: forget_lapsed_leases
-- Tags are kept no longer than they can join a call.
update number_leases set
    lease = null, session = null, source = null, sealed = null, expires_at = null, kept_until = null
where number in (
    select l.number
    from number_leases as l
    where l.kept_until <= now() and not exists (
        select from calls as c
        where c.lease = l.lease
            and c.state in ('deciding', 'rerouting', 'late', 'routed', 'answered')
    )
    limit 1000
    for update skip locked
)
