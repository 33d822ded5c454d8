-- What subscribers are told: deliveries written with the fact, claimed, settled, kept for a while.

-- name: write_deliveries
-- The last statement of a transaction: the call's record is taken as the transaction has left it.
with item as materialized (
    select *
    from unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[]
    ) as item (event_id, owner, webhook, event, call_id, at, data)
)
insert into webhook_deliveries (event_id, owner, webhook, event, call_id, at, data, facts)
select
    item.event_id, item.owner, item.webhook, item.event, item.call_id, item.at, item.data::json,
    known.facts
from item
cross join lateral (
    select
        json_build_object(
            'state', c.state, 'reason', c.reason,
            'routed_by', coalesce(payer.routed_by, c.routed_by),
            'offer', coalesce(payer.offer, c.offer), 'buyer', coalesce(payer.buyer, c.buyer),
            'price', coalesce(payer.price, c.price)::text, 'currency', c.currency,
            'answered_at', times.answered_at, 'ended_at', times.ended_at,
            'total_duration_s', c.total_duration_s::text,
            'connected_duration_s', times.connected_duration_s::text, 'ended_by', c.ended_by,
            'converted_by', money.converted_by, 'revenue', money.revenue::text,
            'payout', money.payout::text, 'attempts', attempts.rows
        ) as facts
    from calls as c
    left join lateral (
        select
            max(s.trigger) filter (where s.side = 'buyer') as converted_by,
            max(s.attempt) filter (where s.side = 'buyer') as attempt,
            sum(s.amount) filter (where s.side = 'buyer') as revenue,
            sum(s.amount) filter (where s.side = 'source') as payout
        from conversions as s
        where s.call_id = c.call_id and not s.withdrawn
    ) as money on true
    left join lateral (
        select r.* from reservations as r
        where r.call_id = c.call_id and r.attempt = money.attempt
    ) as payer on true
    -- see read_call
    cross join lateral (
        select c.answered_at, c.ended_at, c.connected_duration_s
        where payer.attempt is null or payer.attempt = c.attempt
        union all
        select payer.answered_at, payer.ended_at, payer.connected_duration_s
        where payer.attempt <> c.attempt
    ) as times
    left join lateral (
        select
            json_agg(
                json_build_array(
                    r.attempt, r.offer, r.routed_by, r.price::text,
                    case when r.reason is null then r.state else 'failed' end, r.reason, r.buyer
                )
                order by r.attempt
            ) as rows
        from reservations as r
        where r.call_id = c.call_id and r.state not in ('held', 'released')
    ) as attempts on true
    where c.call_id = item.call_id
    offset 0
) as known

-- name: due_webhooks
-- Every webhook that something is due for, by one step into the index for each that is owed.
with recursive owed as (
    (
        select owner, webhook, due_at from webhook_deliveries
        where state = 'pending'
        order by owner, webhook, due_at
        limit 1
    )
    union all
    select later.owner, later.webhook, later.due_at
    from owed
    cross join lateral (
        select d.owner, d.webhook, d.due_at from webhook_deliveries as d
        where d.state = 'pending' and (d.owner, d.webhook) > (owed.owner, owed.webhook)
        order by d.owner, d.webhook, d.due_at
        limit 1
    ) as later
)
select owner, webhook from owed where due_at <= now()

-- name: ripe_webhooks
-- Those of which as many are due as there is room for, or the oldest has waited for ``every_s``.
select batch.owner, batch.webhook
from unnest($1::text[], $2::text[], $3::integer[], $4::double precision[])
    as batch (owner, webhook, room, every_s)
cross join lateral (
    select count(*) as waiting, min(first.created_at) as oldest
    from (
        select d.created_at from webhook_deliveries as d
        where d.state = 'pending' and d.owner = batch.owner and d.webhook = batch.webhook
            and d.due_at <= now()
        order by d.due_at
        limit batch.room
    ) as first
) as due
where due.waiting >= batch.room or due.oldest <= now() - make_interval(secs => batch.every_s)

-- name: claim_deliveries
-- What is due of some webhooks, at most ``room`` of each, is theirs alone until the lease ends. With
-- ``every_s`` only what is still ripe when others have taken theirs.
with webhook as (
    select *
    from unnest($1::text[], $2::text[], $3::integer[], $4::double precision[])
        as webhook (owner, webhook, room, every_s)
),
due as materialized (
    select webhook.room, webhook.every_s, d.owner, d.webhook, d.event_id, d.created_at
    from webhook
    cross join lateral (
        select deliveries.* from webhook_deliveries as deliveries
        where deliveries.state = 'pending' and deliveries.owner = webhook.owner
            and deliveries.webhook = webhook.webhook and deliveries.due_at <= now()
        order by deliveries.due_at
        limit webhook.room
        for update skip locked
    ) as d
),
ripe as materialized (
    select event_id
    from (
        select
            event_id, room, every_s,
            count(*) over same as waiting, min(created_at) over same as oldest
        from due
        window same as (partition by owner, webhook)
    ) as counted
    where every_s is null or waiting >= room or oldest <= now() - make_interval(secs => every_s)
),
claimed as (
    update webhook_deliveries as d
    set due_at = now() + make_interval(secs => $5), tries = d.tries + 1
    from ripe
    where d.event_id = ripe.event_id and d.state = 'pending'
    returning
        d.event_id, d.owner, d.webhook, d.event, d.call_id, d.at, d.facts, d.data, d.tries,
        d.created_at
)
select * from claimed order by owner, webhook, at, created_at, event_id

-- name: settle_delivered
update webhook_deliveries set state = 'delivered', settled_at = now(), last_error = null
where event_id = any($1::text[]) and state = 'pending'

-- name: settle_failed
-- Tried again after a pause, or given up; only by whom the delivery was claimed last.
update webhook_deliveries as d
set
    state = case when d.give_up_at <= now() then 'dead' else 'pending' end,
    settled_at = case when d.give_up_at <= now() then now() end,
    due_at = least(now() + make_interval(secs => item.pause_s), d.give_up_at),
    last_error = $4
from unnest($1::text[], $2::integer[], $3::double precision[]) as item (event_id, tries, pause_s)
where d.event_id = item.event_id and d.tries = item.tries and d.state = 'pending'
returning d.event_id, d.state

-- name: put_off_deliveries
-- What is due of webhooks that can't be used here waits; it is given up when its time is over, or
-- where ``given_up_after_s`` is said when it is that old.
with webhook as (
    select *
    from unnest($1::text[], $2::text[], $3::text[], $4::double precision[])
        as webhook (owner, webhook, error, given_up_after_s)
),
due as materialized (
    select webhook.error, webhook.given_up_after_s, d.event_id, d.created_at, d.give_up_at
    from webhook
    cross join lateral (
        select deliveries.* from webhook_deliveries as deliveries
        where deliveries.state = 'pending' and deliveries.owner = webhook.owner
            and deliveries.webhook = webhook.webhook and deliveries.due_at <= now()
        order by deliveries.due_at
        limit $5
        for update skip locked
    ) as d
),
looked_at as (
    select
        event_id, error,
        coalesce(
            give_up_at <= now()
            or created_at <= now() - make_interval(secs => given_up_after_s), false
        ) as given_up
    from due
)
update webhook_deliveries as d
set
    state = case when looked_at.given_up then 'dead' else 'pending' end,
    settled_at = case when looked_at.given_up then now() end,
    due_at = least(now() + make_interval(secs => $6), d.give_up_at),
    last_error = looked_at.error
from looked_at
where d.event_id = looked_at.event_id and d.state = 'pending'

-- name: purge_delivered
delete from webhook_deliveries as d
using (
    select event_id from webhook_deliveries
    where state = 'delivered' and settled_at < now() - make_interval(days => $1)
    order by settled_at
    limit $2
    for update skip locked
) as old
where d.event_id = old.event_id

-- name: purge_dead_letters
delete from webhook_deliveries as d
using (
    select event_id from webhook_deliveries
    where state = 'dead' and settled_at < now() - make_interval(days => $1)
    order by settled_at
    limit $2
    for update skip locked
) as old
where d.event_id = old.event_id

-- name: dead_letters
select event_id, owner, webhook, event, call_id, at, tries, last_error, settled_at
from webhook_deliveries
where state = 'dead'
    and ($2::timestamptz is null or (settled_at, event_id) < ($2::timestamptz, $3::text))
order by settled_at desc, event_id desc
limit $1

-- name: count_dead_letters
select count(*) from (select from webhook_deliveries where state = 'dead' limit $1) as dead

-- name: resend_dead_letter
update webhook_deliveries
set
    state = 'pending', tries = 0, due_at = now(), give_up_at = now() + interval '24 hours',
    settled_at = null
where event_id = $1 and state = 'dead'
