-- The money of calls. Whoever writes it has locked the call.

-- name: read_booked
select c.call_id, c.side, c.attempt, c.trigger, c.amount, c.withdrawn, c.percent
from unnest($1::text[]) as item (call_id)
cross join lateral (
    select conversions.* from conversions where conversions.call_id = item.call_id offset 0
) as c

-- name: write_entries
with item as materialized (
    select *
    from unnest(
        $1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::numeric[],
        $7::numeric[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::boolean[],
        $13::numeric[]
    ) as item (
        call_id, side, attempt, kind, trigger, amount, change, at, actor, event_id, note,
        beyond_hold, percent
    )
),
booked as (
    insert into conversions as c (
        call_id, side, attempt, amount, trigger, at, event_id, withdrawn, percent
    )
    select call_id, side, attempt, amount, trigger, at, event_id, kind = 'withdrawn', percent
    from item
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
from item
