-- What became of calls lately, for estimates: whole days, and quarters of an hour of the rest.

-- name: kept_since
-- Part of the queries below: the rows since $1, once each.
with kept as (
    select d.*
    from report_whole_days as whole
    join report_days as d on d.bucket = whole.first
    where whole.first >= $1::timestamptz
    union all
    select q.*
    from report_quarters as q
    where q.bucket >= $1::timestamptz
        and not exists (
            select from report_whole_days as whole
            where whole.first >= $1::timestamptz
                and q.bucket >= whole.first
                and q.bucket < whole.until
        )
)

-- name: offer_results
-- Since $1, in the buckets that begin at $2, of the offers of these campaigns ($3).
-- include: kept_since
select
    width_bucket(bucket, $2::timestamptz[]) as place, campaign, offer,
    sum(posts_accepted)::bigint as accepted,
    sum(posts_rejected + posts_unknown + post_errors)::bigint as refused,
    sum(auction_wins + static_wins)::bigint as routed,
    sum(answered)::bigint as answered,
    sum(converted)::bigint as converted
from kept
where class = 'buyer' and offer <> '' and campaign = any ($3::text[])
group by place, campaign, offer

-- name: source_results
-- Since $1, in the buckets that begin at $2.
-- include: kept_since
select
    width_bucket(bucket, $2::timestamptz[]) as place, source,
    sum(answered)::bigint as answered,
    sum(converted)::bigint as converted
from kept
where class = 'buyer' and offer <> '' and source <> ''
group by place, source

-- name: write_claim
-- No row: one of this event was there before.
insert into call_claims (
    call_id, buyer, kind, event_id, fingerprint, reason, note, campaign, offer, source, received_at,
    credited, withheld
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict do nothing
returning true

-- name: known_claim
select fingerprint from call_claims where call_id = $1 and buyer = $2 and kind = $3 and event_id = $4

-- name: read_claims
select event_id, buyer, offer, reason, note, credited, withheld, made_at
from call_claims
where call_id = $1 and kind = $2 and ($3::text is null or buyer = $3)
order by made_at, event_id

-- name: sum_claims
-- Of calls that came in from $1 until $2, per offer or source ($3); of one buyer ($4), one source ($5).
select
    case $3::text when 'offer' then offer else coalesce(source, '') end as name,
    count(*) filter (where kind = 'return') as returned,
    count(*) filter (where kind = 'complaint') as complaints,
    sum(credited) as credited,
    sum(withheld) as withheld
from call_claims
where received_at >= $1 and received_at < $2
    and ($4::text is null or buyer = $4)
    and ($5::text is null or source = $5)
group by name
