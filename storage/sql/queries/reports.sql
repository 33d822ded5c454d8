-- Figures for reports and alerts: folding what calls have added, adding up days, reading.

-- name: lock_folding
-- One folds at a time; whoever finds another at it comes back later. Not flushed: a fold that is lost
-- in a crash is lost whole, and done again.
select
    pg_try_advisory_xact_lock(7241530009) as locked, set_config('synchronous_commit', 'off', true)

-- name: claim_deltas
-- Rows are visible once their transactions are over, in whatever order those began. Attempts and money
-- belong to calls that can't be decided anew.
with claimed as materialized (
    delete from report_deltas as d
    where d.ctid = any (array(select w.ctid from report_deltas as w limit $1 for update skip locked))
    returning d.*
)
select
    claimed.kind, claimed.attempt, claimed.answered, claimed.completed, claimed.converted,
    claimed.failed, claimed.failed_before, claimed.revenue, claimed.payout,
    coalesce(claimed.received_at, c.received_at) as received_at,
    coalesce(claimed.test, c.test) as test,
    case when c.call_id is null then claimed.campaign else c.campaign end as campaign,
    case when c.call_id is null then claimed.source else c.source end as source,
    c.revision,
    coalesce(claimed.trace, t.trace) as trace,
    r.offer,
    r.buyer
from claimed
left join lateral (
    select traces.trace from traces
    where claimed.kind = 'decision'
        and traces.call_id = claimed.call_id
        and traces.received_at = claimed.received_at
        and traces.attempt = claimed.attempt
    offset 0
) as t on true
left join lateral (
    select calls.* from calls
    where claimed.kind in ('attempt', 'money') and calls.call_id = claimed.call_id
    offset 0
) as c on true
left join lateral (
    select reservations.offer, reservations.buyer from reservations
    where claimed.kind in ('attempt', 'money')
        and reservations.call_id = claimed.call_id
        and reservations.attempt = claimed.attempt
    offset 0
) as r on true

-- name: folding_backlog
-- What waits to be folded, of the first $1 rows at most, and for how many seconds the oldest of them has.
select
    count(*) as waiting,
    coalesce(greatest(extract(epoch from now() - min(noted_at)), 0), 0)::double precision as oldest_s
from (select noted_at from report_deltas limit $1) as w

-- name: offer_owners
-- Whose offers these were, in the revisions by which calls were decided.
select item.offer, item.revision, o.parent as buyer, b.document ->> 'type' as type
from unnest($1::text[], $2::bigint[]) as item (offer, revision)
cross join lateral (
    select parent from catalogue_items
    where kind = 'offer' and id = item.offer and first_revision <= item.revision
    order by first_revision desc
    limit 1
) as o
cross join lateral (
    select document from catalogue_items
    where kind = 'buyer' and id = o.parent and first_revision <= item.revision
    order by first_revision desc
    limit 1
) as b

-- name: rosters_of
-- The roster that a campaign had in a revision: since when it has had these offers and no others.
select
    item.campaign, item.revision,
    greatest(
        coalesce((
            select max(first_revision) from offer_places as p
            where p.campaign = item.campaign and p.first_revision <= item.revision
        ), 0),
        coalesce((
            select max(last_revision) + 1 from offer_places as p
            where p.campaign = item.campaign and p.last_revision < item.revision
        ), 0)
    ) as roster
from unnest($1::text[], $2::bigint[]) as item (campaign, revision)

-- name: whole_days_of
select item.bucket, d.first
from unnest($1::timestamptz[]) as item (bucket)
join report_whole_days as d on item.bucket >= d.first and item.bucket < d.until

-- name: add_figures
with item as materialized (
    select
        grain, bucket, campaign, offer, buyer, source, class, calls, unrouted, eligible, pinged, bids,
        no_bids, timeouts, errors, below_minimum, invalid_bids, not_awaited, auction_wins,
        static_wins, posts_accepted, posts_rejected, posts_unknown, post_errors, answered, completed,
        converted, bid_total, revenue, payout, ping_micros, reasons::bigint[], bid_sizes::bigint[],
        ping_times::bigint[]
    from unnest(
        $1::text::text[], $2::text::timestamptz[], $3::text::text[], $4::text::text[],
        $5::text::text[], $6::text::text[], $7::text::text[], $8::text::bigint[],
        $9::text::bigint[], $10::text::bigint[], $11::text::bigint[], $12::text::bigint[],
        $13::text::bigint[], $14::text::bigint[], $15::text::bigint[], $16::text::bigint[],
        $17::text::bigint[], $18::text::bigint[], $19::text::bigint[], $20::text::bigint[],
        $21::text::bigint[], $22::text::bigint[], $23::text::bigint[], $24::text::bigint[],
        $25::text::bigint[], $26::text::bigint[], $27::text::bigint[], $28::text::numeric[],
        $29::text::numeric[], $30::text::numeric[], $31::text::bigint[], $32::text[], $33::text[],
        $34::text[]
    ) as item (
        grain, bucket, campaign, offer, buyer, source, class, calls, unrouted, eligible, pinged, bids,
        no_bids, timeouts, errors, below_minimum, invalid_bids, not_awaited, auction_wins,
        static_wins, posts_accepted, posts_rejected, posts_unknown, post_errors, answered, completed,
        converted, bid_total, revenue, payout, ping_micros, reasons, bid_sizes, ping_times
    )
)
insert into report_figures as f
select * from item
on conflict (grain, bucket, campaign, offer, buyer, source, class) do update set
    calls = f.calls + excluded.calls,
    unrouted = f.unrouted + excluded.unrouted,
    eligible = f.eligible + excluded.eligible,
    pinged = f.pinged + excluded.pinged,
    bids = f.bids + excluded.bids,
    no_bids = f.no_bids + excluded.no_bids,
    timeouts = f.timeouts + excluded.timeouts,
    errors = f.errors + excluded.errors,
    below_minimum = f.below_minimum + excluded.below_minimum,
    invalid_bids = f.invalid_bids + excluded.invalid_bids,
    not_awaited = f.not_awaited + excluded.not_awaited,
    auction_wins = f.auction_wins + excluded.auction_wins,
    static_wins = f.static_wins + excluded.static_wins,
    posts_accepted = f.posts_accepted + excluded.posts_accepted,
    posts_rejected = f.posts_rejected + excluded.posts_rejected,
    posts_unknown = f.posts_unknown + excluded.posts_unknown,
    post_errors = f.post_errors + excluded.post_errors,
    answered = f.answered + excluded.answered,
    completed = f.completed + excluded.completed,
    converted = f.converted + excluded.converted,
    bid_total = f.bid_total + excluded.bid_total,
    revenue = f.revenue + excluded.revenue,
    payout = f.payout + excluded.payout,
    ping_micros = f.ping_micros + excluded.ping_micros,
    reasons = case
        when excluded.reasons = '{}' then f.reasons else add_packed(f.reasons, excluded.reasons)
    end,
    bid_sizes = case
        when excluded.bid_sizes = '{}' then f.bid_sizes
        else add_packed(f.bid_sizes, excluded.bid_sizes)
    end,
    ping_times = case
        when excluded.ping_times = '{}' then f.ping_times
        else add_packed(f.ping_times, excluded.ping_times)
    end

-- name: add_rosters
insert into report_rosters as r (grain, bucket, campaign, source, class, roster, calls)
select *
from unnest(
    $1::text::text[], $2::text::timestamptz[], $3::text::text[], $4::text::text[],
    $5::text::text[], $6::text::bigint[], $7::text::bigint[]
)
on conflict (grain, bucket, campaign, source, class, roster) do update
set calls = r.calls + excluded.calls

-- name: packed_counts
-- Part of the queries below: what is counted by key in the rows of "listed", added up per set of figures.
items as (
    -- The set of figures and which of its columns, in one number.
    select (number << 26) | (1 << 24) as base, unnest(reasons) as item from listed
    union all
    select (number << 26) | (2 << 24), unnest(bid_sizes) from listed
    union all
    select (number << 26) | (3 << 24), unnest(ping_times) from listed
),
counted as (
    select base | (item >> 40) as slot, sum(item & 1099511627775)::bigint as count
    from items
    group by base | (item >> 40)
),
unpacked as (
    select
        slot >> 26 as number, (slot >> 24) & 3 as kind,
        ((slot & 16777215) << 40) | (count & 1099511627775) as item
    from counted
),
packed as (
    select
        number,
        array_agg(item) filter (where kind = 1) as reasons,
        array_agg(item) filter (where kind = 2) as bid_sizes,
        array_agg(item) filter (where kind = 3) as ping_times
    from unpacked
    group by number
)

-- name: days_and_rest
-- Part of the queries below: whole days between $1 and $2 that lie in one of the buckets which begin at $3, and
-- stand for their quarters of an hour; and the spans of time that are left.
whole as materialized (
    select d.first, d.until
    from report_whole_days as d
    where d.first >= $1::timestamptz
        and d.until <= $2::timestamptz
        and width_bucket(d.first, $3::timestamptz[])
            = width_bucket(d.until - interval '1 microsecond', $3::timestamptz[])
),
rest as materialized (
    select lower(span) as first, upper(span) as until
    from unnest(
        tstzmultirange(tstzrange($1, $2))
        - coalesce((select range_agg(tstzrange(first, until)) from whole), '{}')
    ) as span
),

-- name: sum_figures
-- From $1 until $2, in the buckets that begin at $3, per campaign, offer, buyer or source ($4), or of
-- all. Whole days that lie in one bucket stand for their quarters; $9: minutes instead of both. $12: by
-- source. $10: with what is counted by key.
with
-- include: days_and_rest
kept as (
    select f.*
    from whole
    join report_days as f on f.bucket = whole.first
    where not $9::boolean and not $12::boolean
    union all
    select f.* from whole join report_source_days as f on f.bucket = whole.first where $12::boolean
    union all
    select f.* from report_minutes as f where $9::boolean and f.bucket >= $1 and f.bucket < $2
    union all
    select f.*
    from rest
    join report_quarters as f on f.bucket >= rest.first and f.bucket < rest.until
    where not $9::boolean and not $12::boolean
    union all
    select f.*
    from rest
    join report_source_quarters as f on f.bucket >= rest.first and f.bucket < rest.until
    where $12::boolean
),
chosen as materialized (
    select
        width_bucket(f.bucket, $3::timestamptz[]) as place,
        case $4::text
            when 'campaign' then f.campaign
            when 'offer' then f.offer
            when 'buyer' then f.buyer
            when 'source' then f.source
            else ''
        end as name,
        f.class, f.campaign, f.buyer,
        f.calls, f.unrouted, f.eligible, f.pinged, f.bids, f.no_bids, f.timeouts, f.errors,
        f.below_minimum, f.invalid_bids, f.not_awaited, f.auction_wins, f.static_wins,
        f.posts_accepted, f.posts_rejected, f.posts_unknown, f.post_errors, f.answered,
        f.completed, f.converted, f.ping_micros, f.bid_total, f.revenue, f.payout,
        case when $10::boolean then f.reasons end as reasons,
        case when $10::boolean then f.bid_sizes end as bid_sizes,
        case when $10::boolean then f.ping_times end as ping_times
    from kept as f
    where ($5::text is null or f.campaign = $5)
        and ($6::text is null or f.offer = $6)
        and ($7::text is null or f.buyer = $7)
        and ($8::text is null or f.source = $8)
        and ($4::text not in ('offer', 'buyer') or f.offer <> '')
),
summed as materialized (
    select
        row_number() over () as number, place, name, class, max(campaign) as campaign, max(buyer) as buyer,
        sum(calls)::bigint as calls,
        sum(unrouted)::bigint as unrouted,
        sum(eligible)::bigint as eligible,
        sum(pinged)::bigint as pinged,
        sum(bids)::bigint as bids,
        sum(no_bids)::bigint as no_bids,
        sum(timeouts)::bigint as timeouts,
        sum(errors)::bigint as errors,
        sum(below_minimum)::bigint as below_minimum,
        sum(invalid_bids)::bigint as invalid_bids,
        sum(not_awaited)::bigint as not_awaited,
        sum(auction_wins)::bigint as auction_wins,
        sum(static_wins)::bigint as static_wins,
        sum(posts_accepted)::bigint as posts_accepted,
        sum(posts_rejected)::bigint as posts_rejected,
        sum(posts_unknown)::bigint as posts_unknown,
        sum(post_errors)::bigint as post_errors,
        sum(answered)::bigint as answered,
        sum(completed)::bigint as completed,
        sum(converted)::bigint as converted,
        sum(ping_micros)::bigint as ping_micros,
        sum(bid_total) as bid_total,
        sum(revenue) as revenue,
        sum(payout) as payout
    from chosen
    group by place, name, class
),
listed as (
    select summed.number, chosen.reasons, chosen.bid_sizes, chosen.ping_times
    from chosen
    join summed using (place, name, class)
),
-- include: packed_counts
select summed.*, packed.reasons, packed.bid_sizes, packed.ping_times
from summed
left join packed using (number)
limit $11

-- name: sum_rosters
-- Calls by the roster that they were decided with, from $1 until $2, in the buckets that begin at $3. $4: only
-- of this campaign, $5: only of this source. $6: by source. Where roster is null: all calls, counted or not.
with
-- include: days_and_rest
kept as (
    select r.bucket, r.campaign, r.source, r.class, r.roster, r.calls
    from whole
    join report_rosters as r
        on r.grain = case when $6::boolean then 'source_day' else 'day' end
        and r.bucket = whole.first
    union all
    select r.bucket, r.campaign, r.source, r.class, r.roster, r.calls
    from rest
    cross join lateral (
        select * from report_rosters
        where grain = case when $6 then 'source_quarter' else 'quarter' end
            and bucket >= rest.first and bucket < rest.until
        offset 0
    ) as r
    union all
    select f.bucket, f.campaign, f.source, f.class, null, f.calls
    from whole
    join report_figures as f
        on f.grain = case when $6 then 'source_day' else 'day' end
        and f.bucket = whole.first
        and f.offer = ''
    union all
    select f.bucket, f.campaign, f.source, f.class, null, f.calls
    from rest
    cross join lateral (
        select * from report_figures
        where grain = case when $6 then 'source_quarter' else 'quarter' end
            and bucket >= rest.first and bucket < rest.until and offer = ''
        offset 0
    ) as f
)
select
    width_bucket(bucket, $3) as place, campaign, source, class, roster, sum(calls)::bigint as calls
from kept
where ($4::text is null or campaign = $4) and ($5::text is null or source = $5)
group by place, campaign, source, class, roster

-- name: roster_changes
-- How many offers of these campaigns came, less those that went, by the revision from which that holds. $2: by
-- offer or buyer, else all of a campaign together; $3: only these. $4, $5: only of this offer, this buyer.
select campaign, name, class, revision, sum(change)::integer as change, max(buyer) as buyer
from (
    select
        p.campaign, p.buyer, p.class, step.revision, step.change,
        case $2::text when 'offer' then p.offer when 'buyer' then p.buyer else '' end as name
    from offer_places as p
    cross join lateral (
        values (p.first_revision, 1), (p.last_revision + 1, -1)
    ) as step (revision, change)
    where p.campaign = any($1::text[])
        and step.revision is not null
        and ($4::text is null or p.offer = $4)
        and ($5::text is null or p.buyer = $5)
) as steps
where $3::text[] is null or name = any($3)
group by campaign, name, class, revision
having sum(change) <> 0

-- name: add_up_rosters
-- The rows of grain $3 from $1 until $2 added up to one of grain $4 for each key.
insert into report_rosters (grain, bucket, campaign, source, class, roster, calls)
select $4::text, $1::timestamptz, campaign, source, class, roster, sum(calls)::bigint
from report_rosters
where grain = $3::text and bucket >= $1 and bucket < $2::timestamptz
group by campaign, source, class, roster

-- name: first_unsummed
-- The first quarter of an hour before $1 that no whole day has, and where the whole days next to it are.
select
    loose.bucket,
    (select max(until) from report_whole_days where until <= loose.bucket) as since,
    (select min(first) from report_whole_days where first > loose.bucket) as until
from (
    select min(f.bucket) as bucket
    from unnest(
        tstzmultirange(tstzrange(null, $1::timestamptz))
        - coalesce((select range_agg(tstzrange(first, until)) from report_whole_days), '{}')
    ) as span
    cross join lateral (
        select q.bucket from report_quarters as q
        where q.bucket >= coalesce(lower(span), '-infinity') and q.bucket < upper(span)
        order by q.bucket
        limit 1
    ) as f
) as loose

-- name: add_up_day
-- The rows of grain $3 from $1 until $2 added up to one of grain $4 for each key.
with quarter as materialized (
    select * from report_figures
    where grain = $3::text and bucket >= $1::timestamptz and bucket < $2::timestamptz
),
summed as materialized (
    select
        row_number() over () as number, campaign, offer, buyer, source, class,
        sum(calls) as calls, sum(unrouted) as unrouted, sum(eligible) as eligible,
        sum(pinged) as pinged, sum(bids) as bids, sum(no_bids) as no_bids, sum(timeouts) as
        timeouts, sum(errors) as errors, sum(below_minimum) as below_minimum,
        sum(invalid_bids) as invalid_bids, sum(not_awaited) as not_awaited,
        sum(auction_wins) as auction_wins, sum(static_wins) as static_wins,
        sum(posts_accepted) as posts_accepted, sum(posts_rejected) as posts_rejected,
        sum(posts_unknown) as posts_unknown, sum(post_errors) as post_errors, sum(answered)
        as answered, sum(completed) as completed, sum(converted) as converted,
        sum(bid_total) as bid_total, sum(revenue) as revenue, sum(payout) as payout,
        sum(ping_micros) as ping_micros
    from quarter
    group by campaign, offer, buyer, source, class
),
listed as (
    select summed.number, quarter.reasons, quarter.bid_sizes, quarter.ping_times
    from quarter
    join summed using (campaign, offer, buyer, source, class)
),
-- include: packed_counts
insert into report_figures
select
    $4::text, $1, summed.campaign, summed.offer, summed.buyer, summed.source, summed.class,
        summed.calls, summed.unrouted, summed.eligible, summed.pinged, summed.bids,
        summed.no_bids, summed.timeouts, summed.errors, summed.below_minimum,
        summed.invalid_bids, summed.not_awaited, summed.auction_wins, summed.static_wins,
        summed.posts_accepted, summed.posts_rejected, summed.posts_unknown,
        summed.post_errors, summed.answered, summed.completed, summed.converted,
        summed.bid_total, summed.revenue, summed.payout, summed.ping_micros,
    coalesce(packed.reasons, '{}'), coalesce(packed.bid_sizes, '{}'),
    coalesce(packed.ping_times, '{}')
from summed
left join packed using (number)

-- name: note_whole_day
insert into report_whole_days (first, until) values ($1, $2)

-- name: have_room
-- For what is added up from many rows in this transaction: planned for what is asked, which takes a
-- moment and saves reading whole tables.
select
    set_config('work_mem', '64MB', true), set_config('enable_mergejoin', 'off', true),
    set_config('plan_cache_mode', 'force_custom_plan', true)

-- name: forget_minutes
delete from report_minutes where bucket < $1

-- name: offer_totals
-- Of all time, and the bids from $2 on: by whole days on one side of it, else by quarters of an hour.
with whole as materialized (
    select first, until from report_whole_days where until <= $2::timestamptz or first >= $2
),
rest as materialized (
    select coalesce(lower(span), '-infinity') as first, coalesce(upper(span), 'infinity') as until
    from unnest(
        tstzmultirange(tstzrange(null, null))
        - coalesce((select range_agg(tstzrange(first, until)) from whole), '{}')
    ) as span
),
kept as (
    select d.*
    from report_days as d
    join whole on d.bucket = whole.first
    where d.offer = $1
    union all
    select q.*
    from rest
    join report_quarters as q on q.bucket >= rest.first and q.bucket < rest.until
    where q.offer = $1
)
select
    coalesce(sum(auction_wins + static_wins), 0)::bigint as calls,
    coalesce(sum(answered), 0)::bigint as answered,
    coalesce(sum(completed), 0)::bigint as completed,
    coalesce(sum(converted), 0)::bigint as converted,
    coalesce(sum(revenue), 0) as revenue,
    coalesce(sum(bids) filter (where bucket >= $2), 0)::bigint as month_bids,
    coalesce(sum(bid_total) filter (where bucket >= $2), 0) as month_bid_total
from kept
where class <> 'test'

-- name: calls_with_traces
-- The next $4 calls after the place of $1 and $2, before $3, as they came in. Those of the campaign $5 with
-- their first traces; of the others only the last one, which tells where to go on.
with looked as materialized (
    select k.*
    from calls as k
    where (k.received_at, k.call_id) > ($1::timestamptz, $2::text) and k.received_at < $3::timestamptz
    order by k.received_at, k.call_id
    limit $4
)
select looked.*, (select count(*) from looked) as looked_at, t.trace
from looked
left join lateral (
    select traces.trace from traces
    where traces.call_id = looked.call_id
        and traces.received_at = looked.received_at
        and traces.attempt = 1
    offset 0
) as t on looked.campaign = $5
where looked.campaign = $5 or looked.call_id = (
    select call_id from looked order by received_at desc, call_id desc limit 1
)
order by looked.received_at, looked.call_id
