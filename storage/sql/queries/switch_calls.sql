-- Calls as their switches know them.

-- name: calls_at_switch
-- The calls that a switch should still have, and whether they were routed long enough ago to be
-- missed. Whatever holds a slot is due for a sweep some time, so this reads no more than that. A late
-- decision counts from when it was fetched, which its lease tells. To be planned by keys.
select
    c.call_id, c.attempt,
    coalesce(greatest(r.routed_at, fetched.at) <= $2, false) as settled
from reservations as r
cross join lateral (
    select calls.call_id, calls.attempt, calls.state, calls.switch
    from calls
    where calls.call_id = r.call_id
    offset 0
) as c
cross join lateral (
    select case when r.state = 'routed'
        then r.lease_until - r.collected_lease_ms * interval '1 millisecond'
    end as at
) as fetched
where r.sweep_at is not null
    and r.state in ('routed', 'answered')
    and r.attempt = c.attempt
    and c.state in ('routed', 'answered')
    and c.switch = $1
order by c.call_id collate "C"
limit $3
