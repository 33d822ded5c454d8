-- Alerts: taking turns, states, what has fired, pausing and resuming offers.

-- name: take_alert_turn
-- Nothing where another process looks, or has looked less than $1 seconds ago. The revision is the one in force.
select
    now() as now,
    coalesce(
        (
            select revision from catalogue_revisions
            where in_force_at is null or in_force_at <= clock_timestamp()
            order by revision desc
            limit 1
        ),
        0
    ) as revision
from alert_turn
where looked_at <= now() - make_interval(secs => $1)
for update skip locked

-- name: keep_alert_turn
select

-- name: end_alert_turn
update alert_turn set looked_at = now()

-- name: alert_states
select
    rule, subject, phase, since, good_since, escalated, paused_at, counted_from, alert_id
from alert_states

-- name: lock_alert_states
-- Others who lock one of them lock no other.
select from alert_states order by rule, subject for update

-- name: put_alert_states
insert into alert_states as s (
    rule, subject, phase, since, good_since, escalated, paused_at, counted_from, alert_id
)
select *
from unnest(
    $1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::boolean[],
    $7::timestamptz[], $8::timestamptz[], $9::text[]
)
on conflict (rule, subject) do update set
    phase = excluded.phase,
    since = excluded.since,
    good_since = excluded.good_since,
    escalated = excluded.escalated,
    paused_at = excluded.paused_at,
    counted_from = excluded.counted_from,
    alert_id = excluded.alert_id

-- name: drop_alert_states
delete from alert_states as s
using unnest($1::text[], $2::text[]) as item (rule, subject)
where s.rule = item.rule and s.subject = item.subject

-- name: add_alerts
insert into alerts (
    alert_id, rule, subject, name, measure, reading, threshold, fired_at, pause
)
select *
from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::double precision[],
    $7::double precision[], $8::timestamptz[], $9::text[]
)

-- name: escalate_alerts
update alerts set escalated_at = now() where alert_id = any($1::text[])

-- name: resolve_alerts
-- An offer that it has paused is to be resumed; one that it was only about to pause stays as it is.
update alerts as a
set
    resolved_at = now(),
    resolution = item.resolution,
    pause = case a.pause when 'paused' then 'to_resume' when 'wanted' then 'left' else a.pause end
from unnest($1::text[], $2::text[]) as item (alert_id, resolution)
where a.alert_id = item.alert_id

-- name: write_alert_deliveries
insert into webhook_deliveries (event_id, owner, webhook, event, call_id, at, data, facts)
select event_id, owner, webhook, event, '', now(), data::json, '{}'
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    as item (event_id, owner, webhook, event, data)

-- name: alerts_to_switch
select alert_id from alerts
where pause in ('wanted', 'to_resume')
order by alert_id
limit $1

-- name: lock_alert_state
select from alert_states where alert_id = $1 for update

-- name: lock_alert_to_switch
select subject, pause, pause_revision from alerts
where alert_id = $1 and pause in ('wanted', 'to_resume')
for update

-- name: alert_offer
select kind, id, parent, position, document, first_revision
from catalogue_items
where kind = 'offer' and id = $1 and last_revision is null

-- name: alert_offer_before
select document from catalogue_items
where kind = 'offer' and id = $1 and last_revision = $2::bigint - 1

-- name: alert_offer_kept_paused
-- Whether the offer was there and paused in every revision since the pause, whatever else was edited.
select bool_and(
    (document::jsonb -> 'enabled') is not distinct from 'false'::jsonb
    and (first_revision = $2 or follows)
)
from (
    select
        document, first_revision,
        lag(last_revision) over (order by first_revision) = first_revision - 1 as follows
    from catalogue_items
    where kind = 'offer' and id = $1 and first_revision >= $2
) as since_pause

-- name: alert_switched
update alerts set pause = $2, pause_revision = coalesce($3, pause_revision) where alert_id = $1

-- name: alert_state_paused
update alert_states set paused_at = now() where alert_id = $1

-- name: active_alerts
select * from alerts
where resolved_at is null
order by fired_at desc, alert_id desc
limit $1

-- name: alert_history
select * from alerts
where ($2::timestamptz is null or (fired_at, alert_id) < ($2, $3))
    and ($4::text is null or rule = $4)
order by fired_at desc, alert_id desc
limit $1

-- name: read_alert
select * from alerts where alert_id = $1

-- name: acknowledge_alert_state
update alert_states set phase = 'acknowledged' where alert_id = $1 and phase = 'firing'

-- name: acknowledge_alert
update alerts
set acknowledged_at = now(), acknowledged_by = $2
where alert_id = $1 and acknowledged_at is null and resolved_at is null

-- name: count_active_alerts
select i.id as rule, count(a.alert_id) as firing
from catalogue_items as i
left join alerts as a on a.rule = i.id and a.resolved_at is null
where i.kind = 'alert' and i.last_revision is null
group by i.id

-- name: purge_alerts
delete from alerts
where alert_id in (
    select alert_id from alerts
    where fired_at < now() - make_interval(days => $1) and resolved_at is not null
    order by fired_at
    limit $2
)
