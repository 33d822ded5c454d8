-- The calls that one buyer took, for comparing them with the buyer's own file.

-- name: tie_out_page_end
-- The place so many calls on: a page is bounded by what is looked at, not by what is found.
select received_at, call_id
from calls
where (received_at, call_id) > ($1::timestamptz, $2::text) and received_at < $3::timestamptz
order by received_at, call_id
offset $4::integer - 1
limit 1

-- name: tie_out_page
-- The routes given to buyer $1 for calls after the place of $2 and $3, up to that of $4 and $5
-- (null: all that came before $6). Call by call: joined at once, whole tables might be read for a
-- page.
select
    c.call_id, c.received_at, c.sealed, c.test, r.attempt, r.state, r.post_id, r.bid_id, r.amount,
    coalesce(r.routed_at, r.reserved_at) as start,
    case
        when r.attempt = c.attempt or r.amount is not null then c.total_duration_s
    end as total_duration_s,
    case
        when r.attempt = c.attempt then coalesce(c.connected_duration_s, r.connected_duration_s)
        else r.connected_duration_s
    end as connected_duration_s
from calls as c
cross join lateral (
    select given.*, money.amount
    from reservations as given
    left join conversions as money
        on money.call_id = given.call_id and money.side = 'buyer'
            and money.attempt = given.attempt and not money.withdrawn
    where given.call_id = c.call_id and given.buyer = $1
        and given.state not in ('held', 'released')
    offset 0
) as r
where (c.received_at, c.call_id) > ($2::timestamptz, $3::text)
    and ($4::timestamptz is null or (c.received_at, c.call_id) <= ($4::timestamptz, $5::text))
    and c.received_at < $6::timestamptz
order by c.received_at, c.call_id, r.attempt
