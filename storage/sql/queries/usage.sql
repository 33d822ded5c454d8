-- Readings of the counters.

-- name: read_usage
select u.owner, u.counters
from unnest($1::text[]) as item (owner)
cross join lateral (
    select * from usage_counters where usage_counters.owner = item.owner offset 0
) as u

-- name: read_all_usage
select owner, counters from usage_counters order by owner

-- name: holds_by_offer
-- Every row that holds anything is due for a sweep some time, so this reads little more than those: a
-- sold attempt that is to be given up one day may hold nothing meanwhile.
select offer, state, count(*) as holds
from reservations
where sweep_at is not null
    and (holding ->> 0 <> '0' or holding ->> 2 <> '[0,0,0,0]')
group by offer, state
order by offer, state
