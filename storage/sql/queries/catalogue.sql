-- name: catalogue_lock
select pg_advisory_xact_lock(7241530002)

-- name: catalogue_newest
select revision, created_at, origin, actor, file_name, file_digest, note
from catalogue_revisions
where $1::text is null or origin <> $1
order by revision desc
limit 1

-- name: catalogue_newest_number
select coalesce(max(revision), 0) from catalogue_revisions

-- name: catalogue_in_force
select coalesce(
    (
        select revision from catalogue_revisions
        where in_force_at is null or in_force_at <= clock_timestamp()
        order by revision desc
        limit 1
    ),
    0
)

-- name: catalogue_has_revision
select exists (select from catalogue_revisions where revision = $1)

-- name: catalogue_items_at
select kind, id, parent, position, document
from catalogue_items
where first_revision <= $1 and (last_revision is null or last_revision >= $1)
order by kind, parent, position, id

-- name: catalogue_created_at
select created_at from catalogue_revisions where revision = $1

-- name: catalogue_items_since
-- All but offers as they are at $1, and of those what has changed since $2, or is asked for by its id.
select kind, id, parent, position, document
from catalogue_items
where kind <> 'offer' and first_revision <= $1 and (last_revision is null or last_revision >= $1)
union all
select kind, id, parent, position, document
from catalogue_items
where kind = 'offer' and first_revision > $2 and first_revision <= $1
    and (last_revision is null or last_revision >= $1)
union all
select kind, id, parent, position, document
from catalogue_items
where kind = 'offer' and id = any($3::text[]) and first_revision <= $2
    and (last_revision is null or last_revision >= $1)

-- name: catalogue_offers_closed
select distinct id
from catalogue_items
where kind = 'offer' and last_revision >= $2 and last_revision < $1

-- name: catalogue_first_come
select item.id
from catalogue_items as item
cross join lateral (
    select min(first_revision) as revision
    from catalogue_items
    where kind = item.kind and id = item.id
) as came
where
    item.kind = $1
    and item.first_revision <= $2
    and (item.last_revision is null or item.last_revision >= $2)
order by came.revision, item.id collate "C"
limit $3

-- name: catalogue_add_revision
-- The clock of the moment: a transaction may have begun before the one that made the revision before.
insert into catalogue_revisions (revision, created_at, origin, actor, file_name, file_digest, note)
values ($1, clock_timestamp(), $2, $3, $4, $5, $6)

-- name: catalogue_close_items
update catalogue_items as item
set last_revision = $1 - 1
from unnest($2::text[], $3::text[]) as closed (kind, id)
where item.kind = closed.kind and item.id = closed.id and item.last_revision is null

-- name: catalogue_add_items
insert into catalogue_items (first_revision, kind, id, parent, position, document)
select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::json[])

-- name: catalogue_touched
-- Of what is not an offer, what the revision $1 has changed so that offers it has not are made of something
-- else: says in SQL what `TermsOf.surroundings` and `Workbench` say of it.
select kind, id
from (select * from catalogue_items where last_revision = $1 - 1 and kind <> 'offer') as before
full join (select * from catalogue_items where first_revision = $1 and kind <> 'offer') as after
    using (kind, id)
where case kind
    when 'marketplace' then
        (before.document ->> 'time_zone') is distinct from (after.document ->> 'time_zone')
    when 'campaign' then
        (before.document ->> 'duplicates') is distinct from (after.document ->> 'duplicates')
        or (before.document ->> 'segments') is distinct from (after.document ->> 'segments')
        or (before.document #>> '{auction,boosts}') is distinct from (after.document #>> '{auction,boosts}')
    else kind in ('buyer', 'delivery_profile')
end

-- name: catalogue_made_anew
-- How many offers the revision $1, the newest, adds or makes anew: all where $2, or those of buyers and campaigns.
select count(*)
from catalogue_items
where kind = 'offer' and last_revision is null
    and (
        $2 or first_revision = $1 or parent = any($3::text[])
        or case when cardinality($4::text[]) > 0 then document ->> 'campaign' = any($4::text[]) else false end
    )

-- name: catalogue_announce
-- One that takes $2 seconds to be made ready is in force after them, none before the one it follows. That is
-- waited for $3 seconds at most, should a clock have gone wrong meanwhile.
with told as (
    update catalogue_revisions as revision
    set in_force_at = greatest(
        case when $2::float8 > 0 then clock_timestamp() + make_interval(secs => $2) end,
        (
            select least(before.in_force_at, clock_timestamp() + make_interval(secs => $3::float8))
            from catalogue_revisions as before
            where before.revision = $1 - 1 and before.in_force_at > clock_timestamp()
        )
    )
    where revision.revision = $1
    returning in_force_at
)
select in_force_at, pg_notify('pingpost_catalogue', $1::bigint::text) from told

-- name: catalogue_due
-- Asked of the server's clock: those of the machines that wait may differ.
select in_force_at, extract(epoch from in_force_at - clock_timestamp())::float8 as remaining_s
from catalogue_revisions
where revision = $1 and in_force_at > clock_timestamp()

-- name: catalogue_offers
select kind, id, parent, position, document
from catalogue_items
where kind = 'offer' and id = any($2::text[]) and first_revision <= $1
    and (last_revision is null or last_revision >= $1)
