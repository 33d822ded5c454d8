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
-- In one statement, since the owners' usage is locked meanwhile: every call waits for that.
with item as materialized (
    select *
    from unnest(
        $1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::numeric[],
        $7::numeric[], $8::text[], $9::text[], $10::text[], $11::text[], $12::numeric[]
    ) as item (
        call_id, state, epoch, answered_at, ended_at, total_duration_s, connected_duration_s,
        ended_by, routed_by, offer, buyer, price
    )
),
moved as (
    update calls as c set
        state = item.state,
        epoch = item.epoch,
        -- Nobody came for a late decision and its hold is gone: a retry decides anew, unless a report
        -- of the switch or the buyer shows that the call went there after all. No route binds as it
        -- did before.
        binding = case
            when item.state = 'no_route' then c.binding
            when item.answered_at is not null or item.ended_at is not null then true
            when c.state = 'late' and item.state = 'lost'
                then c.binding and exists (
                    select from conversions
                    where conversions.call_id = c.call_id
                        and conversions.side = 'buyer'
                    offset 0
                )
            else c.binding
        end,
        answered_at = item.answered_at,
        ended_at = item.ended_at,
        total_duration_s = item.total_duration_s,
        connected_duration_s = item.connected_duration_s,
        ended_by = item.ended_by,
        routed_by = item.routed_by,
        offer = item.offer,
        buyer = item.buyer,
        price = item.price
    from item
    where c.call_id = item.call_id
),
logged as (
    insert into events (
        call_id, event_id, fingerprint, type, attempt, at, total_duration_s, connected_duration_s,
        ended_by, sip_code, result
    )
    select *
    from unnest(
        $13::text[], $14::text[], $15::bytea[], $16::text[], $17::integer[], $18::timestamptz[],
        $19::numeric[], $20::numeric[], $21::text[], $22::integer[], $23::text[]
    )
),
entry as materialized (
    select *
    from unnest(
        $24::text[], $25::text[], $26::integer[], $27::text[], $28::text[], $29::numeric[],
        $30::numeric[], $31::timestamptz[], $32::text[], $33::text[], $34::text[], $35::boolean[],
        $36::numeric[]
    ) as entry (
        call_id, side, attempt, kind, trigger, amount, change, at, actor, event_id, note,
        beyond_hold, percent
    )
),
booked as (
    insert into conversions as c (
        call_id, side, attempt, amount, trigger, at, event_id, withdrawn, percent
    )
    -- Of several entries for one side the last is what it comes to.
    select distinct on (call_id, side)
        call_id, side, attempt, amount, trigger, at, event_id, kind = 'withdrawn', percent
    from (select entry.*, row_number() over () as place from entry) as entry
    order by call_id, side, place desc
    on conflict (call_id, side) do update set
        attempt = excluded.attempt,
        amount = excluded.amount,
        trigger = excluded.trigger,
        at = case when c.withdrawn and not excluded.withdrawn then excluded.at else c.at end,
        event_id = excluded.event_id,
        withdrawn = excluded.withdrawn,
        percent = excluded.percent
)
insert into conversion_entries (
    call_id, side, attempt, kind, trigger, amount, change, at, actor, event_id, note, beyond_hold
)
select
    call_id, side, attempt, kind, trigger, amount, change, at, actor, event_id, note, beyond_hold
from entry

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
