-- Claiming a call and storing its decision.
--
-- Rows are found through lateral joins and changed through "on conflict do update": both go by the
-- key whatever the planner believes of a table that grew since it last looked, lock in the order of the
-- input, which is that of call_id, and decide on the newest version of a row.

-- name: open_calls
with relaxed as materialized (
    select
        set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '250ms', true)
),
item as materialized (
    select *
    from unnest(
        $1::text::text[], $2::text::integer[], $3::text::timestamptz[], $4::text::bigint[],
        $5::text::text[], $6::text::text[], $7::text::text[], $8::text::text[], $9::text::text[],
        $10::text::boolean[], $11::text::integer[], $12::text::integer[], $13::text::text[],
        $14::text::text[], $15::bytea[], $16::bytea[], $17::bytea[]
    ) as item (
        call_id, decide_within_ms, received_at, revision, campaign, named_campaign, dialed_number,
        source, switch, test, timeout_ms, epoch, pool_number, pool_source, fingerprint, caller_hash,
        sealed
    )
),
known as materialized (
    select
        c.*,
        case
            when c.attempt > 1 then false
            when c.state = 'deciding' then c.decide_by <= now() and c.fingerprint = item.fingerprint
            when c.state = 'lost'
                then not c.binding and c.answered_at is null and c.ended_at is null
                    and c.fingerprint = item.fingerprint
            else not c.binding and c.answered_at is null and c.ended_at is null
        end as free
    from item
    cross join lateral (
        select calls.* from calls where calls.call_id = item.call_id offset 0
    ) as c
),
lent as materialized (
    select item.call_id, l.lease, l.source, l.sealed
    from item
    cross join lateral (
        select * from number_leases as n
        where n.number = item.pool_number and n.kept_until > now()
        offset 0
    ) as l
    where item.pool_number is not null
),
opened as (
    insert into calls as c (
        call_id, fingerprint, decide_by, received_at, revision, campaign, named_campaign,
        dialed_number, source, switch, test, timeout_ms, caller_hash, sealed, epoch, lease, lent
    )
    select
        item.call_id, item.fingerprint,
        now() + item.decide_within_ms * interval '1 millisecond',
        item.received_at, item.revision, item.campaign, item.named_campaign, item.dialed_number,
        coalesce(item.source, lent.source, item.pool_source), item.switch, item.test,
        item.timeout_ms, item.caller_hash, item.sealed, item.epoch, lent.lease, lent.sealed
    from relaxed
    cross join item
    left join known using (call_id)
    left join lent using (call_id)
    where known.call_id is null or known.free
    order by item.call_id collate "C"
    on conflict (call_id) do update set
        -- Some random steps on: a claim that is lost in a crash must not come back as another's.
        epoch = (c.epoch::bigint + excluded.epoch - 1) % 2147483647 + 1,
        state = 'deciding',
        decide_by = excluded.decide_by,
        received_at = case when c.state = 'deciding' then c.received_at else excluded.received_at end,
        fingerprint = excluded.fingerprint,
        revision = coalesce(
            (
                select c.revision from plans
                where c.state = 'deciding'
                    and plans.call_id = c.call_id
                    and plans.received_at = c.received_at
                limit 1
            ),
            excluded.revision
        ),
        campaign = excluded.campaign,
        named_campaign = excluded.named_campaign,
        dialed_number = excluded.dialed_number,
        -- What was known of a call that is taken over stays so, whoever has its number by now.
        source = case when c.state = 'deciding' then c.source else excluded.source end,
        switch = excluded.switch,
        test = excluded.test,
        timeout_ms = excluded.timeout_ms,
        caller_hash = excluded.caller_hash,
        sealed = case when c.state = 'deciding' then c.sealed else excluded.sealed end,
        lease = case when c.state = 'deciding' then c.lease else excluded.lease end,
        lent = case when c.state = 'deciding' then c.lent else excluded.lent end,
        binding = true,
        decided_at = null,
        routed_by = null,
        offer = null,
        buyer = null,
        price = null,
        currency = null,
        reason = null,
        answered_at = null,
        ended_at = null,
        total_duration_s = null,
        connected_duration_s = null,
        ended_by = null,
        answer = null
    where
        case
            when c.attempt > 1 then false
            when c.state = 'deciding'
                then c.decide_by <= now() and c.fingerprint = excluded.fingerprint
            when c.state = 'lost'
                then not c.binding and c.answered_at is null and c.ended_at is null
                    and c.fingerprint = excluded.fingerprint
            else not c.binding and c.answered_at is null and c.ended_at is null
        end
    -- A row that was there before has been locked by this very statement.
    returning
        c.call_id, c.epoch, c.received_at, c.xmax <> 0 as known_before, c.source, c.sealed, c.lease,
        c.lent
)
select
    item.call_id,
    opened.epoch,
    opened.received_at,
    opened.known_before,
    opened.source,
    case when opened.known_before then opened.sealed end as sealed,
    opened.lease,
    opened.lent,
    known.call_id is not null as known,
    known.free,
    known.fingerprint,
    known.state,
    known.attempt,
    known.binding,
    known.answer,
    known.campaign,
    known.buyer,
    ceil(extract(epoch from known.decide_by - now()) * 1000)::integer as wait_ms,
    past.routes,
    suppressed.lists
from item
left join opened using (call_id)
left join known using (call_id)
left join lateral (
    select json_agg(json_build_array(
        r.offer, r.buyer, r.campaign, extract(epoch from coalesce(r.routed_at, r.reserved_at)),
        extract(epoch from r.answered_at), extract(epoch from r.converted_at)
    )) as routes
    from (
        select * from reservations
        where reservations.caller_hash = item.caller_hash
            and opened.epoch is not null
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
        where suppressed_numbers.caller_hash = item.caller_hash and opened.epoch is not null
        offset 0
    ) as s
    cross join lateral (
        select suppression_lists.list from suppression_lists
        where suppression_lists.key = s.list and suppression_lists.state = 'current'
        offset 0
    ) as l
) as suppressed on true

-- name: taken_over_plans
select
    c.call_id, p.candidates, p.position, p.trace, p.received_at
from unnest($1::text[]) as item (call_id)
cross join lateral (
    select calls.* from calls where calls.call_id = item.call_id offset 0
) as c
cross join lateral (
    select plans.* from plans
    where plans.call_id = c.call_id and plans.received_at = c.received_at
    offset 0
) as p

-- name: collect_late
-- The switch has come back for a first decision that was late: from now on it is a route like any
-- other. Those after a failed attempt are fetched by asking for them again (next.sql), and those whose
-- terms may name an attempt as what is paid for are left to a transaction that books it.
with patience as materialized (
    select set_config('lock_timeout', '250ms', true) as lock_timeout
),
late as materialized (
    select c.*
    from unnest($1::text[]) as item (call_id)
    cross join patience
    cross join lateral (
        select calls.* from calls
        where calls.call_id = item.call_id
            and calls.state = 'late'
            and calls.attempt = 1
            and patience.lock_timeout is not null
        for update
    ) as c
),
plain as (
    select late.*
    from late
    left join lateral (
        select reservations.terms from reservations
        where reservations.call_id = late.call_id and reservations.attempt = late.attempt
        offset 0
    ) as held on true
    where late.test or held.terms is null or held.terms::text not like '%"attempt"%'
),
collected as (
    insert into calls as c (
        call_id, fingerprint, epoch, decide_by, received_at, revision, test, sealed, attempt
    )
    select
        call_id, fingerprint, epoch, decide_by, received_at, revision, test, sealed, attempt
    from plain
    order by call_id collate "C"
    on conflict (call_id) do update set state = 'routed'
    returning c.call_id, c.attempt
),
extended as (
    insert into reservations as r (
        call_id, attempt, state, position, campaign, offer, buyer, routed_by, price, terms, holding,
        lease_until
    )
    select
        held.call_id, held.attempt, held.state, held.position, held.campaign, held.offer,
        held.buyer, held.routed_by, held.price, held.terms, held.holding,
        now() + held.collected_lease_ms * interval '1 millisecond'
    from collected
    cross join lateral (
        select reservations.* from reservations
        where reservations.call_id = collected.call_id
            and reservations.attempt = collected.attempt
            and reservations.state = 'routed'
            and reservations.collected_lease_ms is not null
        offset 0
    ) as held
    on conflict (call_id, attempt) do update set lease_until = excluded.lease_until
)
select late.call_id, collected.call_id is not null as collected
from late
left join collected using (call_id)

-- name: finish_calls
-- A route needs its hold, no route must hold nothing; otherwise nothing is stored and the row says why.
-- The first answer stays with the call, one after a failed attempt goes to that attempt's step; who
-- bought an earlier attempt meanwhile stays the one whom the call names.
with patience as materialized (
    select set_config('lock_timeout', '250ms', true)
),
item as materialized (
    select *
    from unnest(
        $1::text::text[], $2::text::integer[], $3::text::integer[], $4::text::text[],
        $5::text::text[], $6::text::text[], $7::text::text[], $8::text::numeric[], $9::text::text[],
        $10::text::text[], $11::text::boolean[], $12::text::bigint[], $13::text::bigint[],
        $14::text::bigint[], $15::text::smallint[], $16::bytea[], $17::bytea[]
    ) as item (
        call_id, epoch, attempt, state, routed_by, offer, buyer, price, currency, reason, binding,
        lease_ms, answered_lease_ms, collected_lease_ms, quality, answer, trace
    )
),
found as materialized (
    select
        c.call_id, c.fingerprint, c.decide_by, c.received_at, c.revision, c.test, c.sealed, c.epoch,
        c.state,
        case when item.attempt > 1 then step.answer else c.answer end as answer,
        c.currency,
        held.offer is not null as holds,
        held.offer is not distinct from item.offer as fits,
        paying.routed_by, paying.offer, paying.buyer, paying.price
    from item
    cross join lateral (
        select calls.* from calls where calls.call_id = item.call_id offset 0
    ) as c
    left join lateral (
        select next_steps.* from next_steps
        where next_steps.call_id = item.call_id and next_steps.attempt = item.attempt - 1
        offset 0
    ) as step on true
    left join lateral (
        select r.routed_by, r.offer, r.buyer, r.price
        from conversions
        cross join lateral (
            select reservations.* from reservations
            where reservations.call_id = conversions.call_id
                and reservations.attempt = conversions.attempt
            offset 0
        ) as r
        where item.attempt > 1
            and conversions.call_id = item.call_id
            and conversions.side = 'buyer'
            and not conversions.withdrawn
        offset 0
    ) as paying on true
    left join lateral (
        select reservations.* from reservations
        where reservations.call_id = item.call_id
            and reservations.attempt = item.attempt
            and reservations.state = 'held'
        offset 0
    ) as held on true
),
decided as (
    insert into calls as c (
        call_id, fingerprint, decide_by, received_at, revision, test, sealed, epoch, attempt, state,
        answer, routed_by, offer, buyer, price, currency, reason, binding, quality
    )
    select
        item.call_id, found.fingerprint, found.decide_by, found.received_at, found.revision,
        found.test, found.sealed, item.epoch, item.attempt, item.state, item.answer,
        coalesce(found.routed_by, item.routed_by), coalesce(found.offer, item.offer),
        coalesce(found.buyer, item.buyer), coalesce(found.price, item.price),
        case when found.offer is null then item.currency else found.currency end,
        item.reason, item.binding, item.quality
    from patience
    cross join item
    join found using (call_id)
    where found.fits
    order by item.call_id collate "C"
    on conflict (call_id) do update set
        state = excluded.state,
        attempt = excluded.attempt,
        decided_at = now(),
        answer = case when excluded.attempt > 1 then c.answer else excluded.answer end,
        routed_by = excluded.routed_by,
        offer = excluded.offer,
        buyer = excluded.buyer,
        price = excluded.price,
        currency = excluded.currency,
        reason = excluded.reason,
        binding = excluded.binding,
        quality = coalesce(excluded.quality, c.quality)
    where c.epoch = excluded.epoch and c.state in ('deciding', 'rerouting')
    returning c.call_id, c.received_at, c.campaign, c.source, c.test
),
answered as (
    insert into next_steps (call_id, attempt, fingerprint, reason, answer)
    select step.call_id, step.attempt, step.fingerprint, step.reason, item.answer
    from item
    join decided using (call_id)
    cross join lateral (
        select next_steps.* from next_steps
        where next_steps.call_id = item.call_id and next_steps.attempt = item.attempt - 1
        offset 0
    ) as step
    on conflict (call_id, attempt) do update set answer = excluded.answer
),
routed as (
    insert into reservations as r (
        call_id, attempt, state, position, campaign, offer, buyer, routed_by, price, terms, holding,
        lease_until, sweep_at, answered_lease_ms, collected_lease_ms, routed_at
    )
    select
        held.call_id, held.attempt, 'routed', held.position, held.campaign, held.offer, held.buyer,
        held.routed_by, held.price, held.terms, held.holding, lease.until,
        least(held.sweep_at, lease.until), item.answered_lease_ms, item.collected_lease_ms, now()
    from item
    join decided using (call_id)
    cross join lateral (
        select reservations.* from reservations
        where reservations.call_id = item.call_id and reservations.attempt = item.attempt
        offset 0
    ) as held
    cross join lateral (
        select now() + item.lease_ms * interval '1 millisecond' as until
    ) as lease
    where item.offer is not null
    on conflict (call_id, attempt) do update set
        state = excluded.state,
        lease_until = excluded.lease_until,
        sweep_at = excluded.sweep_at,
        answered_lease_ms = excluded.answered_lease_ms,
        collected_lease_ms = excluded.collected_lease_ms,
        routed_at = excluded.routed_at
),
traced as (
    insert into traces (call_id, received_at, attempt, trace)
    select item.call_id, decided.received_at, item.attempt, item.trace
    from item
    join decided using (call_id)
    on conflict (call_id, received_at, attempt) do update set trace = excluded.trace
),
counted as (
    -- For reports; a trace that replaces one is seen to by a trigger.
    insert into report_deltas (kind, call_id, attempt, received_at, campaign, source, test)
    select
        'decision', decided.call_id, item.attempt, decided.received_at, decided.campaign,
        decided.source, decided.test
    from item
    join decided using (call_id)
    left join lateral (
        select traces.attempt from traces
        where traces.call_id = decided.call_id
            and traces.received_at = decided.received_at
            and traces.attempt = item.attempt
        offset 0
    ) as replaced on true
    where replaced.attempt is null
)
select
    item.call_id,
    decided.call_id is not null as stored,
    found.epoch,
    found.state,
    found.answer,
    found.holds,
    found.fits
from item
left join found using (call_id)
left join decided using (call_id)
