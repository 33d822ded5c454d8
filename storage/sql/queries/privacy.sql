-- Personal data taken away, and whole calls. Who changes calls has them locked, and leaves alone what
-- somebody else has locked.

-- name: lock_erasable
-- Those that nothing more is asked of: decided, over for a minute or never answered and swept, in the
-- reports. $2: nothing is held for them any more, so they may go whole. A switch whose clock is ahead
-- reports an end that is still to come: such a call is over when we heard of it.
select c.call_id, c.received_at, c.lease
from unnest($1::text[]) as item (call_id)
cross join lateral (
    select calls.* from calls
    where calls.call_id = item.call_id
    for update skip locked
) as c
left join lateral (
    select count(*) as holds from reservations
    where reservations.call_id = c.call_id and reservations.sweep_at is not null
) as held on true
left join lateral (
    select max(events.received_at) as heard_at from events where events.call_id = c.call_id
) as last on c.ended_at is not null
where c.state not in ('deciding', 'rerouting')
    and (c.ended_at is null or least(c.ended_at, last.heard_at) < now() - interval '1 minute')
    and (held.holds = 0 or (not $2::boolean and c.ended_at is not null))
order by c.call_id

-- name: not_in_reports_yet
select distinct call_id from report_deltas where call_id = any ($1::text[])

-- name: erase_calls
update calls as c
set sealed = '', caller_hash = null, fingerprint = '', lent = null, lease = null, erased_at = now()
from unnest($1::text[]) as item (call_id)
where c.call_id = item.call_id and c.erased_at is null

-- name: erase_reservations
update reservations as r set caller_hash = null
from unnest($1::text[]) as item (call_id)
where r.call_id = item.call_id and r.caller_hash is not null

-- name: erase_notes
update conversion_entries as e set note = null
from unnest($1::text[]) as item (call_id)
where e.call_id = item.call_id and e.note is not null

-- name: erase_claims
-- A reason may be a buyer's own words, too.
update call_claims as k set note = null, reason = 'erased'
from unnest($1::text[]) as item (call_id)
where k.call_id = item.call_id and (k.note is not null or k.reason <> 'erased')

-- name: erase_traces
delete from traces as t
using unnest($1::text[], $2::timestamptz[]) as item (call_id, received_at)
where t.call_id = item.call_id and t.received_at = item.received_at

-- name: erase_plans
delete from plans as p
using unnest($1::text[], $2::timestamptz[]) as item (call_id, received_at)
where p.call_id = item.call_id and p.received_at = item.received_at

-- name: erase_told
-- What was told is forgotten; what is still to be told loses the words of a buyer.
delete from webhook_deliveries as d
using unnest($1::text[]) as item (call_id)
where d.call_id = item.call_id and d.state <> 'pending'

-- name: erase_words
update webhook_deliveries as d set data = (d.data::jsonb - 'reason')::json
from unnest($1::text[]) as item (call_id)
where d.call_id = item.call_id and d.state = 'pending' and d.data::jsonb ? 'reason'

-- name: erase_leases
-- Numbers that were lent to visitors who called are lent to nobody, and know nothing of them.
update number_leases as n
set lease = null, session = null, sealed = null, expires_at = null, kept_until = null
from unnest($1::text[]) as item (lease)
where n.lease = item.lease and n.kept_until < now()

-- name: forget_calls
delete from calls as c using unnest($1::text[]) as item (call_id) where c.call_id = item.call_id

-- name: forget_reservations
delete from reservations as r using unnest($1::text[]) as item (call_id)
where r.call_id = item.call_id

-- name: forget_events
delete from events as e using unnest($1::text[]) as item (call_id) where e.call_id = item.call_id

-- name: forget_next_steps
delete from next_steps as n using unnest($1::text[]) as item (call_id)
where n.call_id = item.call_id

-- name: forget_postbacks
delete from postbacks as p using unnest($1::text[]) as item (call_id)
where p.call_id = item.call_id

-- name: forget_claims
delete from call_claims as k using unnest($1::text[]) as item (call_id)
where k.call_id = item.call_id

-- name: forget_conversions
-- What a call came to; the entries that it is the sum of stay.
delete from conversions as c using unnest($1::text[]) as item (call_id)
where c.call_id = item.call_id

-- name: forget_deliveries
delete from webhook_deliveries as d using unnest($1::text[]) as item (call_id)
where d.call_id = item.call_id

-- name: calls_of_caller
select call_id from calls
where caller_hash = $1 and call_id > $2::text
order by call_id
limit $3

-- name: retention_lock
select pg_try_advisory_xact_lock(7241530008)

-- name: retention_terms
-- Campaigns that are gone keep the days they had.
with wanted as materialized (
    select * from unnest($1::text[], $2::text[], $3::integer[]) as item (campaign, kind, days)
),
dropped as (
    delete from retention_progress as p
    where p.campaign = any ($4::text[])
        and not exists (
            select from wanted where wanted.campaign = p.campaign and wanted.kind = p.kind
        )
)
insert into retention_progress as p (campaign, kind, days)
select campaign, kind, days from wanted
on conflict (campaign, kind) do update set days = excluded.days where p.days <> excluded.days

-- name: retention_due
-- Of what is due one kind and number of days, with the campaigns that share it.
select
    kind, days, array_agg(campaign) as campaigns,
    now() - make_interval(days => days) as until,
    (array_agg(done_at order by done_at, done_call))[1] as done_at,
    (array_agg(done_call order by done_at, done_call))[1] as done_call
from retention_progress
group by kind, days
having min(done_at) < now() - make_interval(days => days) - interval '1 hour'
order by kind, days
limit 1

-- name: retention_calls
select call_id, received_at, campaign, erased_at is not null as erased
from calls
where (received_at, call_id) > ($1::timestamptz, $2::text) and received_at < $3
order by received_at, call_id
limit $4

-- name: retention_advance
update retention_progress set done_at = $3, done_call = $4
where kind = $1 and campaign = any ($2::text[]) and (done_at, done_call) < ($3, $4)

-- name: retention_leave
insert into retention_left (kind, call_id)
select $1, item.call_id from unnest($2::text[]) as item (call_id)
on conflict (kind, call_id) do update set tried_at = now()

-- name: retention_left_over
select kind, call_id from retention_left
where tried_at < now() - interval '1 hour'
order by tried_at
limit $1

-- name: retention_settled
delete from retention_left where kind = $1 and call_id = any ($2::text[])
