-- Lists of numbers. Calls read them in open_calls and rerouting_material.

-- name: suppression_lock
-- One content takes another's place at a time.
select pg_advisory_xact_lock(7241530007)

-- name: suppression_current
insert into suppression_lists as l (list, state) values ($1, 'current')
on conflict (list) where state = 'current' do update set changed_at = l.changed_at
returning key

-- name: suppression_load
insert into suppression_lists (list, state) values ($1, 'loading')
returning key

-- name: suppression_add
with added as (
    insert into suppressed_numbers (list, caller_hash)
    select $1::integer, item.caller_hash
    from (select distinct unnest($2::bytea[]) as caller_hash order by 1) as item
    on conflict do nothing
    returning 1
),
counted as (select count(*) as added from added)
update suppression_lists set numbers = numbers + counted.added, changed_at = now()
from counted
where key = $1 and state in ('current', 'loading')
returning counted.added

-- name: suppression_remove
with removed as (
    delete from suppressed_numbers using unnest($2::bytea[]) as item (caller_hash)
    where suppressed_numbers.caller_hash = item.caller_hash and suppressed_numbers.list = $1
    returning 1
),
counted as (select count(*) as removed from removed)
update suppression_lists set numbers = numbers - counted.removed, changed_at = now()
from counted
where key = $1 and state = 'current'
returning counted.removed

-- name: suppression_drop_current
update suppression_lists set state = 'dropped', changed_at = now()
where list = $1 and state = 'current'

-- name: suppression_put_in_force
update suppression_lists set state = 'current', changed_at = now()
where key = $1 and state = 'loading'
returning numbers

-- name: suppression_give_up
update suppression_lists set state = 'dropped', changed_at = now()
where key = $1 and state = 'loading'

-- name: suppression_count
select numbers from suppression_lists where list = $1 and state = 'current'

-- name: suppressions_of
select l.list
from suppressed_numbers as s
join suppression_lists as l on l.key = s.list
where s.caller_hash = $1 and l.state = 'current'
order by l.list

-- name: suppression_sweep
-- Numbers of lists that were replaced, and of those whose import was cut off a day ago.
with gone as materialized (
    select key from suppression_lists
    where state = 'dropped' or (state = 'loading' and changed_at < now() - interval '1 day')
    order by key
    limit 1
),
batch as materialized (
    select s.ctid
    from gone
    cross join lateral (
        select suppressed_numbers.ctid from suppressed_numbers
        where suppressed_numbers.list = gone.key
        limit $1
    ) as s
),
swept as (
    delete from suppressed_numbers where ctid = any (array(select ctid from batch))
    returning 1
),
forgotten as (
    delete from suppression_lists
    where key in (select key from gone) and not exists (select from batch)
    returning 1
)
select (select count(*) from swept) + (select count(*) from forgotten) as swept

-- name: suppression_analyse
analyze suppressed_numbers
