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
        -- Nobody came for a late decision and its hold is gone: a retry decides anew.
        binding = c.binding and not (c.state = 'late' and item.state = 'lost'),
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
)
insert into events (
    call_id, event_id, fingerprint, type, attempt, at, total_duration_s, connected_duration_s,
    ended_by, sip_code, result
)
select *
from unnest(
    $15::text[], $16::text[], $17::bytea[], $18::text[], $19::integer[], $20::timestamptz[],
    $21::numeric[], $22::numeric[], $23::text[], $24::integer[], $25::text[]
)

-- name: forget_positions
-- The hold of a plan was swept: whoever takes the call over finds that nothing is held.
update plans as p set position = null
from unnest($1::text[], $2::timestamptz[]) as item (call_id, received_at)
where p.call_id = item.call_id and p.received_at = item.received_at
