-- Rows of the ledger, locked in one order everywhere: calls, callers, usage by owner, each by its key.
-- A reservation needs no lock of its own: whoever changes it has locked its call.

-- name: lock_deciding
-- No lock of this transaction is waited for long: one stuck row must not stop every call.
with patience as materialized (
    select set_config('lock_timeout', '250ms', true) as lock_timeout
)
select c.call_id, c.epoch, c.state, c.received_at, c.answer, now() as now
from unnest($1::text[]) as item (call_id)
cross join patience
cross join lateral (
    select calls.* from calls
    where calls.call_id = item.call_id and patience.lock_timeout is not null
    for update
) as c

-- name: lock_reported
-- With the settings of plan_by_keys, for the updates that follow, and the patience of lock_deciding.
select
    c.call_id, c.epoch, c.state, c.received_at, c.attempt, c.test, c.campaign, c.currency,
    c.decide_by, c.answered_at, c.ended_at, c.total_duration_s, c.connected_duration_s, c.ended_by,
    c.caller_hash, c.source, c.routed_by, c.offer, c.buyer, c.price, held.dedupes, now() as now
from (
    select
        set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
        set_config('enable_mergejoin', 'off', true),
        set_config('lock_timeout', '250ms', true) as lock_timeout
) as settings
cross join unnest($1::text[]) as item (call_id)
cross join lateral (
    select calls.* from calls
    where calls.call_id = item.call_id and settings.lock_timeout is not null
    for update
) as c
cross join lateral (
    select coalesce(bool_or(r.dedupes), false) as dedupes
    from (
        select reservations.dedupes from reservations where reservations.call_id = c.call_id offset 0
    ) as r
) as held

-- name: plan_by_keys
-- For the statements of this transaction, on tables of whose growth the planner may not know yet;
-- with the patience of lock_deciding.
select
    set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('lock_timeout', '250ms', true)

-- name: lock_due
-- Calls with a lease that may be over, without waiting for those that somebody is working on.
select
    c.call_id, c.epoch, c.state, c.received_at, c.attempt, c.test, c.campaign, c.currency,
    c.decide_by, c.answered_at, c.ended_at, c.total_duration_s, c.connected_duration_s, c.ended_by,
    c.caller_hash, c.source, c.routed_by, c.offer, c.buyer, c.price, held.dedupes, now() as now
from (
    select due.call_id
    from (
        select call_id from reservations where sweep_at <= now() order by sweep_at limit $1
    ) as due
    group by due.call_id
    order by due.call_id collate "C"
) as item
cross join lateral (
    select calls.* from calls where calls.call_id = item.call_id for update skip locked
) as c
cross join lateral (
    select coalesce(bool_or(r.dedupes), false) as dedupes
    from (
        select reservations.dedupes from reservations where reservations.call_id = c.call_id offset 0
    ) as r
) as held

-- name: lock_callers
-- One decider at a time looks at a caller's past calls and adds to them.
select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key

-- name: past_routes
-- A late route that nobody came for has never reached its switch. Its call says so, and is asked only
-- where the lease is shorter than that of a route that was fetched.
select
    r.caller_hash, r.call_id, r.attempt, r.offer, r.buyer, r.campaign,
    coalesce(r.routed_at, r.reserved_at) as routed_at, r.answered_at, r.converted_at
from unnest($1::bytea[]) as item (caller_hash)
cross join lateral (
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
    order by reserved_at desc
    limit 500
) as r

-- name: past_conversions
-- Of callers that are locked: what both sides of their calls have earned and not withdrawn.
select
    r.caller_hash, r.call_id, r.attempt, r.offer, r.campaign, r.source, r.converted_at, r.paid_at
from unnest($1::bytea[]) as item (caller_hash)
cross join lateral (
    select * from reservations
    where reservations.caller_hash = item.caller_hash
        and (reservations.converted_at is not null or reservations.paid_at is not null)
    order by reserved_at desc
    limit 500
) as r

-- name: open_usage
-- A row for each owner that has none yet.
insert into usage_counters (owner, counters)
select owner, array_fill(0::bigint, array[64]) from unnest($1::text[]) as owner
order by owner collate "C"
on conflict (owner) do nothing

-- name: lock_books
-- The reservations of these calls and what is booked of them, then the usage of the owners that are
-- named or that they hold under. All in one statement: every call waits for whoever has the usage.
with held as materialized (
    select r.*
    from unnest($1::text[]) as item (call_id)
    cross join lateral (
        select reservations.* from reservations where reservations.call_id = item.call_id offset 0
    ) as r
),
wanted as (
    select owner from unnest($2::text[]) as owner
    union
    select under ->> 0 from held cross join lateral json_array_elements(held.terms -> 'owners') as under
),
locked as materialized (
    select u.owner, u.counters
    from (select owner from wanted order by owner collate "C") as item
    cross join lateral (
        select usage_counters.* from usage_counters where usage_counters.owner = item.owner for update
    ) as u
)
select
    owner, counters, null as call_id, null as attempt, null as state, null as position,
    null as campaign, null as offer, null as buyer, null as routed_by, null as price,
    null as post_id, null as caller_hash, null as terms, null as holding, null as lease_until,
    null as sweep_at, null as answered_lease_ms, null as answered_at, null as converted_at,
    null as ended_at, null as source, null as bid_id, null as dedupes, null as reason,
    null as sip_code, null as connected_duration_s, null as paid_at, null::json as booked
from locked
union all
select
    null, null, call_id, attempt, state, position, campaign, offer, buyer, routed_by, price,
    post_id, caller_hash, terms, holding, lease_until, sweep_at, answered_lease_ms, answered_at,
    converted_at, ended_at, source, bid_id, dedupes, reason, sip_code, connected_duration_s,
    paid_at, null
from held
union all
select
    null, null, item.call_id, null, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, null, null, null, null, null, null, null, null, null, money.sides
from unnest($1::text[]) as item (call_id)
cross join lateral (
    select json_agg(json_build_array(
        s.side, s.attempt, s.trigger, s.amount::text, s.withdrawn, s.percent::text,
        case when s.withdrawn then (
            select json_agg(distinct e.attempt) from conversion_entries as e
            where e.call_id = s.call_id and e.side = s.side and e.kind = 'withdrawn'
        ) end
    )) as sides
    from (
        select conversions.* from conversions where conversions.call_id = item.call_id offset 0
    ) as s
) as money
where money.sides is not null

-- name: write_books
-- From $35 on: only if all is as it was known, of calls, callers and owners that are not locked yet;
-- a lease then counts from now on, not from the instant that its decider took for it.
with checked as materialized (
    select
        other_than_known(
            $35::text::text[], $36::text::bigint[], $37::text::timestamptz[],
            $38::bigint[], $39::bytea[], $40::text[], $41::text[]
        ) as other,
        coalesce(now() - $42::timestamptz, interval '0') as late
),
counted as (
    insert into usage_counters (owner, counters)
    select item.owner, item.counters::bigint[]
    from unnest($1::text[], $2::text[]) as item (owner, counters)
    where (select other is null from checked)
    on conflict (owner) do update set counters = excluded.counters
),
held as (
    insert into reservations as r (
        call_id, attempt, state, position, campaign, offer, buyer, routed_by, price, post_id,
        terms, holding, lease_until, sweep_at, answered_lease_ms, answered_at, converted_at,
        ended_at, source, bid_id, dedupes, reason, sip_code, connected_duration_s, paid_at,
        caller_hash
    )
    select
        item.call_id, item.attempt, item.state, item.position, item.campaign, item.offer,
        item.buyer, item.routed_by, item.price, item.post_id, item.terms, item.holding,
        item.lease_until + (select late from checked), item.sweep_at + (select late from checked),
        item.answered_lease_ms, item.answered_at, item.converted_at, item.ended_at, item.source,
        item.bid_id, item.dedupes, item.reason, item.sip_code, item.connected_duration_s,
        item.paid_at, item.caller_hash
    from unnest(
        $3::text::text[], $4::text::integer[], $5::text::text[], $6::text::integer[],
        $7::text::text[], $8::text::text[], $9::text::text[], $10::text::text[],
        $11::text::numeric[], $12::text::text[], $13::text::json[], $14::text::json[],
        $15::text::timestamptz[], $16::text::timestamptz[], $17::text::bigint[],
        $18::text::timestamptz[], $19::text::timestamptz[], $20::text::timestamptz[],
        $21::text::text[], $22::text::text[], $23::text::boolean[], $24::text::text[],
        $25::text::integer[], $26::text::numeric[], $27::text::timestamptz[], $28::bytea[]
    ) as item (
        call_id, attempt, state, position, campaign, offer, buyer, routed_by, price, post_id,
        terms, holding, lease_until, sweep_at, answered_lease_ms, answered_at, converted_at,
        ended_at, source, bid_id, dedupes, reason, sip_code, connected_duration_s, paid_at,
        caller_hash
    )
    where (select other is null from checked)
    on conflict (call_id, attempt) do update set
        state = excluded.state,
        position = excluded.position,
        campaign = excluded.campaign,
        offer = excluded.offer,
        buyer = excluded.buyer,
        routed_by = excluded.routed_by,
        price = excluded.price,
        post_id = excluded.post_id,
        caller_hash = excluded.caller_hash,
        terms = excluded.terms,
        holding = excluded.holding,
        lease_until = excluded.lease_until,
        sweep_at = excluded.sweep_at,
        answered_at = excluded.answered_at,
        converted_at = excluded.converted_at,
        ended_at = excluded.ended_at,
        source = excluded.source,
        bid_id = excluded.bid_id,
        dedupes = excluded.dedupes,
        reason = excluded.reason,
        sip_code = excluded.sip_code,
        connected_duration_s = excluded.connected_duration_s,
        paid_at = excluded.paid_at
),
planned as (
    insert into plans (call_id, received_at, attempt, position, candidates, trace)
    select item.*
    from unnest(
        $29::text::text[], $30::text::timestamptz[], $31::text::integer[], $32::text::integer[],
        $33::bytea[], $34::bytea[]
    ) as item
    where (select other is null from checked)
    on conflict (call_id, received_at) do update set
        attempt = excluded.attempt,
        position = excluded.position,
        candidates = excluded.candidates,
        trace = excluded.trace
)
select other from checked

-- name: note_caps_reached
-- Those of which subscribers were not told before. The owners are locked.
insert into caps_reached as c (owner, measure, period, window_start)
select item.owner, item.measure, item.period, to_timestamp(item.window_start)
from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as item (
    owner, measure, period, window_start
)
on conflict (owner, measure, period, window_start) do nothing
returning c.owner, c.measure, c.period, extract(epoch from c.window_start)::bigint as window_start

-- name: find_locked
-- Of these calls, owners and callers those that another transaction has locked; a call also when an
-- owner is that it holds under. What is free is locked, for as long as this statement takes.
with called as materialized (
    select item.call_id, c.call_id is null as locked
    from unnest($1::text[]) as item (call_id)
    cross join lateral (
        select calls.call_id from calls where calls.call_id = item.call_id offset 0
    ) as known
    left join lateral (
        select calls.call_id from calls where calls.call_id = item.call_id for update skip locked
    ) as c on true
),
held as materialized (
    select distinct called.call_id, under ->> 0 as owner
    from called
    cross join lateral (
        select reservations.terms from reservations
        where reservations.call_id = called.call_id
        offset 0
    ) as r
    cross join lateral json_array_elements(r.terms -> 'owners') as under
),
owned as materialized (
    select item.owner, u.owner is null as locked
    from (select unnest($2::text[]) as owner union select owner from held) as item
    cross join lateral (
        select usage_counters.owner from usage_counters where usage_counters.owner = item.owner
        offset 0
    ) as known
    left join lateral (
        select usage_counters.owner from usage_counters where usage_counters.owner = item.owner
        for update skip locked
    ) as u on true
)
select call_id, null as owner, null::bigint as caller from called where locked
union all
select held.call_id, null, null from held join owned using (owner) where owned.locked
union all
select null, owner, null from owned where locked
union all
select null, null, key from unnest($3::bigint[]) as key where not pg_try_advisory_xact_lock(key)
