-- What became of calls lately, for estimates: whole days, and quarters of an hour of the rest.

-- name: offer_results
-- Since $1, in the buckets that begin at $2, of the offers of these campaigns ($3).
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
select
    width_bucket(bucket, $2::timestamptz[]) as place, source,
    sum(answered)::bigint as answered,
    sum(converted)::bigint as converted
from kept
where class = 'buyer' and offer <> '' and source <> ''
group by place, source
