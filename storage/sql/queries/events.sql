-- What the switch reports, and what the sweeper finds over.

-- name: known_events
select e.call_id, e.event_id, e.fingerprint
from unnest($1::text[], $2::text[]) as item (call_id, event_id)
cross join lateral (
    select * from events
    where events.call_id = item.call_id and events.event_id = item.event_id
    offset 0
) as e

-- name: write_progress
with item as materialized (
    select *
    from unnest(
        $1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::numeric[],
        $7::numeric[], $8::text[]
    ) as item (
        call_id, state, epoch, answered_at, ended_at, total_duration_s, connected_duration_s,
        ended_by
    )
),
moved as (
    update calls as c set
        state = item.state,
        epoch = item.epoch,
        -- Nobody came for a late decision and its hold is gone: a retry decides anew, unless a
        -- report shows that the call went there after all.
        binding = item.answered_at is not null
            or item.ended_at is not null
            or (c.binding and not (c.state = 'late' and item.state = 'lost')),
        answered_at = item.answered_at,
        ended_at = item.ended_at,
        total_duration_s = item.total_duration_s,
        connected_duration_s = item.connected_duration_s,
        ended_by = item.ended_by
    from item
    where c.call_id = item.call_id
),
earned as (
    insert into conversions (call_id, side, attempt, amount, trigger, at, event_id)
    select item.call_id, 'buyer', item.attempt, item.amount, item.trigger, item.at, item.event_id
    from unnest(
        $9::text[], $10::integer[], $11::numeric[], $12::text[], $13::timestamptz[], $14::text[]
    ) as item (call_id, attempt, amount, trigger, at, event_id)
    -- A call earns once, whatever its attempts.
    on conflict (call_id, side) do nothing
    returning call_id, attempt
),
logged as (
    insert into events (
        call_id, event_id, fingerprint, type, attempt, at, total_duration_s, connected_duration_s,
        ended_by, sip_code, result
    )
    select *
    from unnest(
        $15::text[], $16::text[], $17::bytea[], $18::text[], $19::integer[], $20::timestamptz[],
        $21::numeric[], $22::numeric[], $23::text[], $24::integer[], $25::text[]
    )
)
select call_id, attempt from earned

-- name: due_calls
-- The calls of lock_due, not locked. To be planned by keys.
select due.call_id
from (
    select call_id from reservations where sweep_at <= now() order by sweep_at limit $1
) as due
group by due.call_id
order by due.call_id collate "C"

-- name: postpone_sweep
update reservations set sweep_at = now() + interval '1 minute'
where call_id = $1 and sweep_at <= now()
