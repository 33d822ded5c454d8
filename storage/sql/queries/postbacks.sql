-- What buyers report. Whoever writes has locked the call.

-- name: sold_by_call
-- The attempt of a call that a report is about: the one that converted, else the latest.
select r.call_id, r.attempt
from reservations as r
where r.call_id = $1
    and ($2::text is null or r.buyer = $2)
    and r.state in ('routed', 'answered', 'ended', 'lost', 'failed')
order by r.converted_at is null, r.state = 'failed', r.answered_at is null, r.attempt desc
limit 1

-- name: sold_by_post
select r.call_id, r.attempt
from reservations as r
where r.post_id = $1
    and ($2::text is null or r.buyer = $2)
    and r.state in ('routed', 'answered', 'ended', 'lost', 'failed')
order by r.reserved_at desc, r.call_id, r.attempt desc
limit 1

-- name: sold_by_bid
-- A buyer may name several bids alike: the newest is meant.
select r.call_id, r.attempt
from reservations as r
where r.bid_id = $1
    and ($2::text is null or r.buyer = $2)
    and r.state in ('routed', 'answered', 'ended', 'lost', 'failed')
order by r.reserved_at desc, r.call_id, r.attempt desc
limit 1

-- name: known_postback
select
    p.fingerprint,
    exists (
        select from conversion_entries as e
        where e.call_id = p.call_id
            and e.actor = 'buyer:' || p.buyer
            and e.event_id = p.event_id
            and e.beyond_hold
    ) as flagged
from postbacks as p
where p.call_id = $1 and p.buyer = $2 and p.event_id = $3

-- name: write_postback
-- What earns was given to the buyer after all, even when the switch never came for a late decision.
with bound as (
    update calls set binding = true where call_id = $1 and not binding and $8
)
insert into postbacks (call_id, buyer, event_id, fingerprint, status, amount, result)
values ($1, $2, $3, $4, $5, $6, $7)
