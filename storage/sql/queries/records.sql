-- What is kept of calls, and where. Of one that was sold by another attempt than its latest, the times
-- that are shown are that attempt's: they belong to whom the call names.

-- name: read_call
select
    c.*,
    kept.trace_attempts,
    kept.traces,
    attempts.rows as attempts,
    money.converted_by,
    money.revenue,
    money.payout,
    case when sold.attempt is null then c.answered_at else sold.answered_at end as shown_answered_at,
    case when sold.attempt is null then c.ended_at else sold.ended_at end as shown_ended_at,
    case
        when sold.attempt is null then c.connected_duration_s else sold.connected_duration_s
    end as shown_connected_duration_s,
    past.routes
from calls as c
left join lateral (
    select
        array_agg(t.attempt order by t.attempt) as trace_attempts,
        array_agg(t.trace order by t.attempt) as traces
    from traces as t
    where t.call_id = c.call_id and t.received_at = c.received_at
) as kept on true
left join lateral (
    select json_agg(
        json_build_array(
            r.attempt, r.offer, r.routed_by, r.price::text,
            case when r.reason is null then r.state else 'failed' end, r.reason
        )
        order by r.attempt
    ) as rows
    from reservations as r
    where r.call_id = c.call_id and r.state not in ('held', 'released')
) as attempts on true
left join lateral (
    select
        max(conversions.trigger) filter (where conversions.side = 'buyer') as converted_by,
        max(conversions.attempt) filter (where conversions.side = 'buyer') as sold_attempt,
        sum(conversions.amount) filter (where conversions.side = 'buyer') as revenue,
        sum(conversions.amount) filter (where conversions.side = 'source') as payout
    from conversions
    where conversions.call_id = c.call_id and not conversions.withdrawn
) as money on true
left join lateral (
    select reservations.* from reservations
    where reservations.call_id = c.call_id and reservations.attempt = money.sold_attempt
        and money.sold_attempt <> c.attempt
    offset 0
) as sold on true
left join lateral (
    select json_agg(json_build_array(
        r.offer, r.buyer, r.campaign, extract(epoch from coalesce(r.routed_at, r.reserved_at)),
        extract(epoch from r.answered_at), extract(epoch from r.converted_at)
    )) as routes
    from (
        select * from reservations
        where reservations.caller_hash = c.caller_hash
            and reservations.reserved_at < c.decided_at
            and reservations.state <> 'released'
            and not (reservations.state = 'failed' and reservations.answered_at is null)
            and (
                reservations.state <> 'lost'
                or reservations.answered_at is not null or reservations.converted_at is not null
                or reservations.lease_until
                    >= reservations.routed_at + reservations.collected_lease_ms * interval '1 millisecond'
                or (
                    select k.binding and k.state = 'lost' from calls as k
                    where k.call_id = reservations.call_id
                )
            )
            and reservations.call_id <> c.call_id
        order by reservations.reserved_at desc
        limit 500
    ) as r
) as past on true
where c.call_id = $1

-- name: read_entries
select
    e.call_id, e.side, e.attempt, e.kind, e.trigger, e.amount, e.change, e.at, e.recorded_at,
    e.actor, e.event_id, e.note, e.beyond_hold
from conversion_entries as e
where e.call_id = $1
order by e.id

-- name: list_horizon
-- Where to stop looking for calls: the place so many calls below the one given.
select c.received_at, c.call_id
from calls as c
where (c.received_at, c.call_id) >= ($1::timestamptz, $2::text)
    and (c.received_at, c.call_id) < ($3::timestamptz, $4::text)
order by c.received_at desc, c.call_id desc
offset $5::integer - 1
limit 1

-- name: list_calls
-- From the place of $1 and $2 up to that of $3 and $4, which is left out; for the buyer $11 its own.
-- Not "exists": the planner might read the whole table for it, to look up each call in what it found.
select
    c.*, attempts.rows as attempts, money.converted_by, money.revenue, money.payout,
    case when sold.attempt is null then c.answered_at else sold.answered_at end as shown_answered_at,
    case when sold.attempt is null then c.ended_at else sold.ended_at end as shown_ended_at,
    case
        when sold.attempt is null then c.connected_duration_s else sold.connected_duration_s
    end as shown_connected_duration_s
from (
    select
        k.call_id, k.attempt, k.state, k.received_at, k.revision, k.test, k.timeout_ms, k.campaign,
        k.named_campaign, k.dialed_number, k.source, k.switch, k.sealed, k.lease, k.lent, k.routed_by, k.offer,
        k.buyer, k.price, k.currency, k.reason, k.answered_at, k.ended_at, k.total_duration_s,
        k.connected_duration_s, k.ended_by, k.quality
    from calls as k
    where (k.received_at, k.call_id) >= ($1::timestamptz, $2::text)
        and (k.received_at, k.call_id) < ($3::timestamptz, $4::text)
        and ($5::text is null or k.campaign = $5)
        and ($6::text is null or k.offer = $6 and ($11::text is null or k.buyer = $11) or (
            select true from reservations as r
            where r.call_id = k.call_id and r.offer = $6 and r.buyer = $11
                and r.state not in ('held', 'released')
            limit 1
        ))
        and ($7::text is null or k.buyer = $7)
        and ($8::text is null or k.source = $8)
        and ($9::text is null or ($11::text is null or k.buyer = $11) and case $9
            when 'routed' then k.routed_by is not null
            when 'no_route' then k.state = 'no_route'
            when 'lost' then k.state = 'lost'
            when 'answered' then coalesce((
                select r.answered_at is not null
                from conversions as s
                join reservations as r on r.call_id = s.call_id and r.attempt = s.attempt
                where k.attempt > 1 and s.call_id = k.call_id and s.side = 'buyer'
                    and not s.withdrawn and s.attempt <> k.attempt
            ), k.answered_at is not null)
            when 'converted' then (
                select not s.withdrawn from conversions as s
                where s.call_id = k.call_id and s.side = 'buyer'
            )
            else k.routed_by = $9
        end)
        and k.test = $10
        and ($11::text is null or k.buyer = $11 or (
            select true from reservations as r
            where r.call_id = k.call_id and r.buyer = $11 and r.state not in ('held', 'released')
            limit 1
        ))
    order by k.received_at desc, k.call_id desc
    limit $12
) as c
left join lateral (
    select json_agg(
        json_build_array(
            r.attempt, r.offer, r.routed_by, r.price::text,
            case when r.reason is null then r.state else 'failed' end, r.reason
        )
        order by r.attempt
    ) as rows
    from reservations as r
    where r.call_id = c.call_id and r.state not in ('held', 'released')
        and ($11::text is null or r.buyer = $11)
) as attempts on true
left join lateral (
    select
        max(conversions.trigger) filter (where conversions.side = 'buyer') as converted_by,
        max(conversions.attempt) filter (where conversions.side = 'buyer') as sold_attempt,
        sum(conversions.amount) filter (where conversions.side = 'buyer') as revenue,
        sum(conversions.amount) filter (where conversions.side = 'source') as payout
    from conversions
    where conversions.call_id = c.call_id and not conversions.withdrawn
) as money on true
left join lateral (
    select reservations.* from reservations
    where reservations.call_id = c.call_id and reservations.attempt = money.sold_attempt
        and money.sold_attempt <> c.attempt
    offset 0
) as sold on true
order by c.received_at desc, c.call_id desc

-- name: name_current
-- Calls that were sold by another attempt than their latest, and are not any more, name the latest one
-- again, or nobody where that is no route. Their rows are locked.
update calls as c
set (routed_by, offer, buyer, price) = (
    select r.routed_by, r.offer, r.buyer, r.price from reservations as r
    where r.call_id = c.call_id and r.attempt = c.attempt
        and r.state not in ('held', 'released')
        and c.state not in ('deciding', 'rerouting', 'no_route')
)
from unnest($1::text[], $2::integer[]) as item (call_id, sold_attempt)
where c.call_id = item.call_id and c.attempt <> item.sold_attempt
