-- What is kept of calls, and where.

-- name: read_call
select
    c.*,
    t.trace,
    attempts.rows as attempts,
    money.converted_by,
    money.revenue,
    money.payout,
    past.routes
from calls as c
left join lateral (
    select traces.trace from traces
    where traces.call_id = c.call_id and traces.received_at = c.received_at
    order by traces.attempt
    limit 1
) as t on true
left join lateral (
    select json_agg(
        json_build_array(r.attempt, r.offer, r.routed_by, r.price::text, r.state) order by r.attempt
    ) as rows
    from reservations as r
    where r.call_id = c.call_id and r.state not in ('held', 'released')
) as attempts on true
left join lateral (
    select
        max(conversions.trigger) filter (where conversions.side = 'buyer') as converted_by,
        sum(conversions.amount) filter (where conversions.side = 'buyer') as revenue,
        sum(conversions.amount) filter (where conversions.side = 'source') as payout
    from conversions
    where conversions.call_id = c.call_id
) as money on true
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
            and reservations.call_id <> c.call_id
        order by reservations.reserved_at desc
        limit 500
    ) as r
) as past on true
where c.call_id = $1
