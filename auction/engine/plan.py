"""The plan of a decision: where the call may go, in order. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from auction.domain.bidding import Bid
from auction.domain.conversions import payable_rules
from auction.domain.eligibility import hold_units
from auction.domain.ids import CallId, OfferId, PingId, PostId
from auction.domain.payouts import payable_payouts
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.reasons import Reason
from auction.domain.static_order import static_order
from auction.domain.terms import OfferTerms, PayoutRule

SAID_NO = frozenset({Reason.NO_BID, Reason.POST_REJECTED, Reason.POST_UNKNOWN, Reason.POST_ERROR})
"""After these an offer is not routed statically for the same call."""


payouts_of = lru_cache(maxsize=4096)(payable_payouts)
"""The payout rules of a source: the same object for the same rules, which plans are stored by."""


def auction_candidate(
    bid: Bid,
    offer: OfferTerms,
    ping_id: PingId,
    *,
    test: bool,
    payouts: tuple[PayoutRule, ...] = (),
) -> Candidate:
    """A valid bid as a place the call may go."""
    return Candidate(
        offer=offer.id,
        buyer=offer.buyer,
        routed_by=RoutedBy.AUCTION,
        price=bid.amount,
        destination=bid.destination,
        posts=offer.ping_post is not None and offer.ping_post.posts,
        owners=() if test else offer.limits,
        units=hold_units(offer, bid.amount),
        duplicates=offer.duplicates,
        conversions=payable_rules(offer),
        payouts=payouts,
        ping_id=ping_id,
        post_id=PostId(f"{ping_id}-post"),
        bid_id=bid.bid_id,
        expires_at=bid.expires_at,
        minimum_duration_s=bid.minimum_duration_s,
    )


def static_candidates(
    offers: Iterable[OfferTerms],
    call_id: CallId,
    *,
    test: bool,
    payouts: tuple[PayoutRule, ...] = (),
) -> list[Candidate]:
    """Offers at a fixed price, by priority and weight; each needs a destination of its own."""
    sellable = [each for each in offers if each.static_amount is not None and each.destination]
    ordered = static_order(sellable, call_id)
    return [_static_candidate(each, payouts, test=test) for each in ordered]


def _static_candidate(
    offer: OfferTerms, payouts: tuple[PayoutRule, ...], *, test: bool
) -> Candidate:
    price, destination = offer.static_amount, offer.destination
    assert price is not None, "only offers with a static price are routed statically"
    assert destination is not None, "only offers with a destination are routed statically"
    return Candidate(
        offer=offer.id,
        buyer=offer.buyer,
        routed_by=RoutedBy.STATIC,
        price=price,
        destination=destination,
        posts=False,
        owners=() if test else offer.limits,
        units=hold_units(offer, price),
        duplicates=offer.duplicates,
        conversions=payable_rules(offer),
        payouts=payouts if offer.billed else (),
    )


def standing_bids(
    candidates: Iterable[Candidate], eligible: Iterable[OfferTerms]
) -> list[Candidate]:
    """The bids of an earlier plan by offers that may still take the call, under today's limits."""
    offers = {offer.id: offer for offer in eligible if offer.auctioned}
    return [
        replace(each, owners=offers[each.offer].limits if each.owners else ())
        for each in candidates
        if each.routed_by is RoutedBy.AUCTION and each.offer in offers
    ]


def without_offer(candidates: Sequence[Candidate], offer: OfferId) -> tuple[Candidate, ...]:
    """The plan without an offer that said no."""
    return tuple(each for each in candidates if each.offer != offer)


def expired(candidate: Candidate, now: datetime) -> bool:
    """Whether a bid may no longer be taken."""
    return candidate.expires_at is not None and candidate.expires_at <= now
