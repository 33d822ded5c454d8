-- What follows a failed attempt. Whoever writes a step has locked its call.

-- name: lock_next
-- With the settings and the patience of lock_reported. A claim is not flushed: finish_calls is.
select
    c.call_id, c.epoch, c.state, c.attempt, c.decide_by, c.binding, c.received_at, c.campaign,
    c.named_campaign, c.dialed_number, c.source, c.switch, c.test, c.timeout_ms, c.caller_hash,
    c.sealed, c.lease, c.lent, c.answered_at, c.ended_at, c.connected_duration_s, now() as now
from (
    select
        set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
        set_config('enable_mergejoin', 'off', true), set_config('synchronous_commit', 'off', true),
        set_config('lock_timeout', '250ms', true) as lock_timeout
) as settings
cross join unnest($1::text[]) as item (call_id)
cross join lateral (
    select calls.* from calls
    where calls.call_id = item.call_id and settings.lock_timeout is not null
    for update
) as c

-- name: read_steps
select s.call_id, s.attempt, s.fingerprint, s.answer
from unnest($1::text[], $2::integer[]) as item (call_id, attempt)
cross join lateral (
    select next_steps.* from next_steps
    where next_steps.call_id = item.call_id and next_steps.attempt = item.attempt
    offset 0
) as s

-- name: rerouting_material
-- What a decider of an attempt may go by: the plan stored last, the traces before, the caller's past.
select
    item.call_id, item.received_at, p.attempt, p.position, p.candidates, p.trace, before.traces,
    past.routes, suppressed.lists
from unnest($1::text[], $2::integer[], $3::timestamptz[], $4::bytea[]) as item (
    call_id, attempt, received_at, caller_hash
)
left join lateral (
    select plans.* from plans
    where plans.call_id = item.call_id and plans.received_at = item.received_at
    offset 0
) as p on true
left join lateral (
    select array_agg(traces.trace order by traces.attempt) as traces
    from traces
    where traces.call_id = item.call_id
        and traces.received_at = item.received_at
        and traces.attempt < item.attempt
) as before on true
left join lateral (
    select json_agg(json_build_array(
        r.offer, r.buyer, r.campaign, extract(epoch from coalesce(r.routed_at, r.reserved_at)),
        extract(epoch from r.answered_at), extract(epoch from r.converted_at)
    )) as routes
    from (
        select * from reservations
        where reservations.caller_hash = item.caller_hash
            and reservations.state <> 'released'
            and (reservations.state <> 'failed' or reservations.answered_at is not null)
            and (
                reservations.state <> 'lost'
                or reservations.answered_at is not null or reservations.converted_at is not null
                or reservations.lease_until
                    >= reservations.routed_at + reservations.collected_lease_ms * interval '1 millisecond'
                or (
                    select c.binding and c.state = 'lost' from calls as c
                    where c.call_id = reservations.call_id
                )
            )
            and reservations.call_id <> item.call_id
        order by reservations.reserved_at desc
        limit 500
    ) as r
) as past on true
left join lateral (
    select array_agg(l.list order by l.list) as lists
    from (
        select suppressed_numbers.list from suppressed_numbers
        where suppressed_numbers.caller_hash = item.caller_hash
        offset 0
    ) as s
    cross join lateral (
        select suppression_lists.list from suppression_lists
        where suppression_lists.key = s.list and suppression_lists.state = 'current'
        offset 0
    ) as l
) as suppressed on true

-- name: write_next
-- An attempt that failed keeps its times on its reservation: those of the call are the next one's.
with item as materialized (
    select *
    from unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::timestamptz[]) as item (
        call_id, state, epoch, attempt, decide_by
    )
),
moved as (
    update calls as c set
        state = item.state,
        epoch = item.epoch,
        attempt = item.attempt,
        decide_by = item.decide_by,
        binding = true,
        answered_at = case when item.state <> 'rerouting' then c.answered_at end,
        ended_at = case when item.state <> 'rerouting' then c.ended_at end,
        total_duration_s = case when item.state <> 'rerouting' then c.total_duration_s end,
        connected_duration_s = case when item.state <> 'rerouting' then c.connected_duration_s end,
        ended_by = case when item.state <> 'rerouting' then c.ended_by end
    from item
    where c.call_id = item.call_id
)
insert into next_steps (call_id, attempt, fingerprint, reason, sip_code)
select *
from unnest($6::text[], $7::integer[], $8::bytea[], $9::text[], $10::integer[])
-- A step that was there before is decided anew.
on conflict (call_id, attempt) do update set answer = null

-- name: collect_next
-- The switch has come back for a late decision: see collect_late. What it is told must last, so
-- this is flushed as the database flushes by itself, whatever lock_next has said.
with durable as materialized (
    select set_config('synchronous_commit', null, true) as synchronous_commit
)
update reservations as r
set lease_until = now() + r.collected_lease_ms * interval '1 millisecond'
from durable
cross join lateral unnest(
    $1::text[], case when durable.synchronous_commit is not null then $2::integer[] end
) as item (call_id, attempt)
where r.call_id = item.call_id
    and r.attempt = item.attempt
    and r.state = 'routed'
    and r.collected_lease_ms is not null

-- name: answer_next
-- The answer that was stored first stays.
with patience as materialized (
    select set_config('lock_timeout', '250ms', true) as lock_timeout
)
insert into next_steps as s (call_id, attempt, fingerprint, reason, answer)
select step.call_id, step.attempt, step.fingerprint, step.reason, item.answer
from unnest($1::text[], $2::integer[], $3::bytea[]) as item (call_id, attempt, answer)
cross join patience
cross join lateral (
    select calls.call_id from calls
    where calls.call_id = item.call_id and patience.lock_timeout is not null
    for update
) as c
cross join lateral (
    select next_steps.* from next_steps
    where next_steps.call_id = item.call_id and next_steps.attempt = item.attempt
    offset 0
) as step
order by item.call_id collate "C", item.attempt
on conflict (call_id, attempt) do update set answer = coalesce(s.answer, excluded.answer)
returning s.call_id, s.attempt, s.answer
