"""A recorded call decided once more from what was recorded, perhaps under other terms. Pure.

Nobody is asked again and no time passes: every moment comes from the record. What the record can't
tell is noted on its line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from auction.domain.eligibility import fixed_refusal
from auction.domain.ids import OfferId
from auction.domain.plan import RoutedBy
from auction.domain.reasons import HELD_BACK, NoRouteReason, Reason
from auction.domain.replay_auction import AuctionAgain, ask_again
from auction.domain.replay_record import Changes, Recorded
from auction.domain.replay_walk import Place, Walked, statics, walk
from auction.domain.suppression import suppressed
from auction.domain.terms import Campaign, OfferTerms
from auction.domain.trace import TraceEntry


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a decision ended. ``ranking``: the offers with a valid bid, best first."""

    ranking: tuple[OfferId, ...]
    offer: OfferId | None = None
    routed_by: RoutedBy | None = None
    price: Decimal | None = None
    reason: str | None = None

    @property
    def route(self) -> tuple[OfferId | None, RoutedBy | None, Decimal | None]:
        """Where the call went, how and for how much."""
        return self.offer, self.routed_by, self.price


@dataclass(frozen=True, slots=True)
class Line:
    """One offer in the record and when decided again, with what is not known of the latter."""

    offer: OfferId
    recorded: TraceEntry
    again: TraceEntry
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """The recorded decision beside the one that was made again; a line for every offer."""

    recorded: Verdict
    again: Verdict
    lines: tuple[Line, ...]

    @property
    def same_ranking(self) -> bool:
        """Whether the same bids are valid, in the same order."""
        return self.recorded.ranking == self.again.ranking

    @property
    def same_winner(self) -> bool:
        """Whether the call goes to the same offer, in the same way and at the same price."""
        return self.recorded.route == self.again.route

    @property
    def same(self) -> bool:
        """Whether ranking, winner and price are the same."""
        return self.same_ranking and self.same_winner

    @property
    def price_difference(self) -> Decimal:
        """By how much the new price is above the recorded one; no route is worth nothing."""
        nothing = Decimal(0)
        return (self.again.price or nothing) - (self.recorded.price or nothing)


def replay(recorded: Recorded, changes: Changes | None = None) -> Replayed:
    """Decide the call again, under ``changes`` where there are any."""
    before = recorded.campaign
    verdict = _recorded_verdict(recorded)
    if before is None:
        lines = tuple(Line(entry.offer, entry, entry) for entry in recorded.trace.offers)
        again = Verdict((), reason=NoRouteReason.UNKNOWN_CAMPAIGN)
        return Replayed(verdict, again, lines)
    campaign = before if changes is None else changes.of(before)
    asked, walked = _decide(recorded, before, campaign)
    entries = _entries(recorded, campaign, asked, walked)
    reason = None if walked.taken else _no_route_reason(recorded, campaign, entries)
    ranking = tuple(bid.offer for bid in asked.ranking)
    again = Verdict(ranking, reason=reason)
    if walked.taken is not None:
        place = walked.taken
        again = Verdict(ranking, place.offer, place.routed_by, place.price)
    notes = {**asked.notes, **walked.notes}
    return Replayed(verdict, again, _lines(recorded, before, entries, notes))


def _decide(
    recorded: Recorded, before: Campaign, campaign: Campaign
) -> tuple[AuctionAgain, Walked]:
    if _not_auctioned(recorded, campaign):
        return AuctionAgain({}, (), {}, as_long=True), Walked()
    asked = ask_again(recorded, before, campaign)
    bids = [Place(each.offer, RoutedBy.AUCTION, each.amount) for each in asked.ranking]
    entries = {**_standing(recorded, campaign), **asked.entries}
    plan = [*bids, *statics(recorded, campaign, entries)]
    return asked, walk(plan, recorded, before, as_long=asked.as_long)


def _not_auctioned(recorded: Recorded, campaign: Campaign) -> bool:
    """Whether nobody was asked at all: the caller is blocked, or the call came too late."""
    return _blocked(recorded, campaign) or _too_late(recorded)


def _rejected(recorded: Recorded) -> bool:
    return recorded.reason == NoRouteReason.NUMBER_REJECTED


def _too_late(recorded: Recorded) -> bool:
    return not recorded.trace.offers and recorded.reason == NoRouteReason.TOO_LATE


def _blocked(recorded: Recorded, campaign: Campaign) -> bool:
    on = recorded.trace.suppressed
    return (
        recorded.call.caller.number in campaign.caller_blocklist
        or suppressed(campaign.suppressions, on).blocked_by is not None
    )


def _standing(recorded: Recorded, campaign: Campaign) -> dict[OfferId, TraceEntry]:
    """What stands as recorded: refusals that depended on the moment, and offers that stood by."""
    entries = recorded.entries()
    return {
        offer.id: _stood_by(entries[offer.id])
        for offer in campaign.offers
        if offer.id in entries and fixed_refusal(recorded.call, offer) is None
    }


def _stood_by(entry: TraceEntry) -> TraceEntry:
    """The entry before the way down the plan began."""
    if entry.reason is not None:
        return replace(entry, static=False)
    return replace(entry, reason=Reason.STANDBY, static=False)


def _entries(
    recorded: Recorded, campaign: Campaign, asked: AuctionAgain, walked: Walked
) -> dict[OfferId, TraceEntry]:
    """The trace of the new decision, with a line for every offer of the campaign."""
    entries = {offer.id: _by_terms(recorded, offer, campaign) for offer in campaign.offers}
    entries.update(_standing(recorded, campaign))
    entries.update(asked.entries)
    for place, bid in enumerate(asked.ranking, start=1):
        entries[bid.offer] = replace(entries[bid.offer], rank=place)
    for offer, entry in walked.refused.items():
        entries[offer] = replace(entries[offer], reason=entry.reason, detail=entry.detail)
    if walked.taken is not None:
        entries[walked.taken.offer] = _taken(entries[walked.taken.offer], walked.taken)
    return entries


def _by_terms(recorded: Recorded, offer: OfferTerms, campaign: Campaign) -> TraceEntry:
    refused = fixed_refusal(recorded.call, offer)
    if refused is not None:
        return TraceEntry(offer.id, refused.reason, refused.detail)
    reason = Reason.SUPPRESSED if _blocked(recorded, campaign) else Reason.NOT_ASKED
    return TraceEntry(offer.id, reason)


def _taken(entry: TraceEntry, place: Place) -> TraceEntry:
    """The winner's line; an offer that was pinged and is routed statically keeps its outcome."""
    if place.routed_by is RoutedBy.AUCTION:
        return replace(entry, reason=None, detail=None)
    return replace(entry, reason=None if entry.ms is None else entry.reason, static=True)


def _lines(
    recorded: Recorded,
    before: Campaign,
    entries: Mapping[OfferId, TraceEntry],
    notes: Mapping[OfferId, str],
) -> tuple[Line, ...]:
    stored = recorded.entries()
    for offer in before.offers:
        stored.setdefault(offer.id, _by_terms(recorded, offer, before))
    return tuple(
        Line(offer, stored[offer], entries.get(offer) or _gone(offer), notes.get(offer))
        for offer in sorted(stored)
    )


def _gone(offer: OfferId) -> TraceEntry:
    """An offer of the trace that the campaign does not have."""
    return TraceEntry(offer, Reason.NOT_ASKED)


def _recorded_verdict(recorded: Recorded) -> Verdict:
    ranked = sorted((each.rank, each.offer) for each in recorded.trace.offers if each.rank)
    ranking = tuple(offer for _, offer in ranked)
    winner = recorded.winner()
    if winner is None:
        return Verdict(ranking, reason=recorded.reason)
    routed_by = RoutedBy.STATIC if winner.static else RoutedBy.AUCTION
    price = recorded.price
    if price is None:
        price = _static_amount(recorded, winner.offer) if winner.static else winner.bid
    return Verdict(ranking, winner.offer, routed_by, price)


def _static_amount(recorded: Recorded, offer: OfferId) -> Decimal | None:
    offers = () if recorded.campaign is None else recorded.campaign.offers
    return next((each.static_amount for each in offers if each.id == offer), None)


def _no_route_reason(
    recorded: Recorded, campaign: Campaign, entries: Mapping[OfferId, TraceEntry]
) -> str:
    if _blocked(recorded, campaign):
        return NoRouteReason.CALLER_BLOCKED
    if _rejected(recorded):
        return NoRouteReason.NUMBER_REJECTED
    if _too_late(recorded):
        return NoRouteReason.TOO_LATE
    if any(each.ms is not None or each.reason in _UNUSED for each in entries.values()):
        return NoRouteReason.NO_BID_AND_NO_STATIC
    return NoRouteReason.NO_ELIGIBLE_OFFER


_UNUSED: Final = HELD_BACK | {Reason.STANDBY, Reason.BUDGET_TOO_SMALL}
"""Outcomes of offers that might have taken the call."""
