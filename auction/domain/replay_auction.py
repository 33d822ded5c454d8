"""The recorded answers to the pings of one call, judged once more, perhaps under other terms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from auction.domain.bidding import Bid, RefusedBid
from auction.domain.bids import judge
from auction.domain.deadline import MINIMUM_USEFUL_MS, early_close, plan_times
from auction.domain.eligibility import fixed_refusal
from auction.domain.ids import OfferId
from auction.domain.ranking import rank
from auction.domain.reasons import Reason
from auction.domain.replay_record import REFUSED_BEFORE, Recorded
from auction.domain.scoring import Weights, score, weigh
from auction.domain.terms import Campaign, OfferTerms
from auction.domain.trace import TraceEntry

NO_ANSWER_RECORDED: Final = "no answer was recorded: it may have bid"
_NO_TIME: Final = "no time left to ping"


@dataclass(frozen=True, slots=True)
class AuctionAgain:
    """One entry for each offer that was asked, the bids in their order, and what is not known.

    ``as_long``: the pings took as long as recorded.
    """

    entries: Mapping[OfferId, TraceEntry]
    ranking: tuple[Bid, ...]
    notes: Mapping[OfferId, str]
    as_long: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    """One offer in the fan-out. ``ms``: when it was no longer waited for.

    ``ceiling`` is the highest score that it could reach, ``score`` the one of its bid.
    ``silent_until``: it had not answered by then, and nobody knows what it said later.
    """

    entry: TraceEntry
    ms: float
    ceiling: Decimal | None = None
    bid: Bid | None = None
    score: Decimal | None = None
    silent_until: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Round:
    """Who is asked under some terms, for how long at most (milliseconds), and how bids count."""

    campaign: Campaign
    offers: Mapping[OfferId, OfferTerms]
    ping_ms: int
    weights: Weights | None = None

    def given_ms(self, offer: OfferId) -> int:
        """How long an offer has for its answer."""
        terms = self.offers[offer].ping_post
        return self.ping_ms if terms is None else min(terms.ping_timeout_ms, self.ping_ms)


def ask_again(recorded: Recorded, before: Campaign, campaign: Campaign) -> AuctionAgain:
    """The auction that the recorded answers make under the terms of ``campaign``.

    ``before`` holds those in force. Where both end the auction at the same moment, the record tells
    which answers still came in time.
    """
    was, now = _round(recorded, before), _round(recorded, campaign)
    entries = recorded.entries()
    recorded_answers = [_hear(recorded, was, was, entries[offer]) for offer in was.offers]
    answers = [_hear(recorded, was, now, entries[offer]) for offer in now.offers]
    closed_before, closed = _closing(was, recorded_answers), _closing(now, answers)
    awaited = [_await(each, closed, again=closed != closed_before) for each in answers]
    bids = [each.bid for each in awaited if each.bid is not None]
    return AuctionAgain(
        entries={each.entry.offer: each.entry for each in awaited},
        ranking=rank(bids, recorded.call.call_id, now.weights),
        notes={each.entry.offer: each.note for each in awaited if each.note is not None},
        as_long=_lasted(closed, awaited) == _lasted(closed_before, recorded_answers),
    )


def _round(recorded: Recorded, campaign: Campaign) -> _Round:
    entries = recorded.entries()
    offers = {
        offer.id: offer
        for offer in campaign.offers
        if offer.auctioned
        and offer.id in entries
        and entries[offer.id].reason not in REFUSED_BEFORE
        and fixed_refusal(recorded.call, offer) is None
    }
    terms = [each.ping_post for each in offers.values() if each.ping_post is not None]
    times = plan_times(
        recorded.call.timeout_ms,
        campaign.auction,
        [each.ping_timeout_ms for each in terms],
        [each.post_timeout_ms for each in terms if each.posts],
        elapsed_ms=int(recorded.trace.timings.eligible_ms),
    )
    return _Round(campaign, offers, times.ping_ms, _weights(recorded, campaign, offers.values()))


def _weights(
    recorded: Recorded, campaign: Campaign, offers: Iterable[OfferTerms]
) -> Weights | None:
    """What bids are multiplied by: boosts by the terms, odds as they were that moment."""
    if not campaign.auction.scored:
        return None
    known = {each.offer: each.weight for each in recorded.trace.offers if each.weight is not None}
    odds = {offer: weight.odds for offer, weight in known.items()}
    return {each.id: weigh(each, recorded.call.source, odds.get(each.id)) for each in offers}


def _hear(recorded: Recorded, was: _Round, now: _Round, entry: TraceEntry) -> _Answer:
    """An offer's recorded answer, or the lack of one, under the time that it would have."""
    offer, entry = entry.offer, replace(entry, rank=None, static=False)
    if entry.ms is None:
        return _unasked(entry, was, now)
    if now.ping_ms < min(MINIMUM_USEFUL_MS, was.ping_ms):
        return _Answer(TraceEntry(offer, Reason.BUDGET_TOO_SMALL, _NO_TIME), 0.0)
    terms = now.offers[offer].ping_post
    highest = None if terms is None else terms.ceiling
    ceiling = None if highest is None else score(highest, offer, now.weights)
    given_ms = now.given_ms(offer)
    if entry.ms > given_ms and given_ms < was.given_ms(offer):
        return _Answer(TraceEntry(offer, Reason.TIMEOUT, ms=given_ms), given_ms, ceiling)
    if entry.reason is Reason.TIMEOUT and given_ms <= was.given_ms(offer):
        return _Answer(entry, entry.ms, ceiling)
    if entry.reason in _UNHEARD:
        return _Answer(entry, max(entry.ms, given_ms), ceiling, silent_until=entry.ms)
    return _judged(recorded, now, entry, entry.ms, ceiling)


def _unasked(entry: TraceEntry, was: _Round, now: _Round) -> _Answer:
    """An offer that no ping went to; one that was routed statically stood by before."""
    if entry.reason is None:
        entry = replace(entry, reason=Reason.STANDBY)
    longer = now.ping_ms > was.ping_ms and entry.reason is Reason.BUDGET_TOO_SMALL
    return _Answer(entry, 0.0, note=NO_ANSWER_RECORDED if longer else None)


def _judged(
    recorded: Recorded, now: _Round, entry: TraceEntry, ms: float, ceiling: Decimal | None
) -> _Answer:
    quote = recorded.quotes.get(entry.offer)
    if quote is None:
        return _Answer(entry, ms, ceiling)
    passed_ms = recorded.trace.timings.eligible_ms + ms
    verdict = judge(
        quote,
        now.offers[entry.offer],
        now.campaign,
        recorded.currency,
        recorded.call.received_at + timedelta(milliseconds=passed_ms),
        recorded.default_country,
    )
    if isinstance(verdict, RefusedBid):
        refused = TraceEntry(entry.offer, verdict.reason, verdict.detail, verdict.amount, ms)
        return _Answer(refused, ms, ceiling)
    valid = TraceEntry(entry.offer, Reason.OUTBID, bid=verdict.amount, ms=ms)
    return _Answer(valid, ms, ceiling, verdict, score(verdict.amount, entry.offer, now.weights))


def _closing(asked: _Round, answers: Sequence[_Answer]) -> float | None:
    """When the auction ended although somebody was still out; None when it waited for all."""
    in_order = sorted(answers, key=lambda each: each.ms)
    leader = highest_bid = Decimal(-1)
    close_at_bid = asked.campaign.auction.close_at_bid
    for answer, ceilings_out in zip(in_order, _ceilings_out(in_order), strict=True):
        if answer.bid is not None and answer.score is not None:
            leader = max(leader, answer.score)
            highest_bid = max(highest_bid, answer.bid.amount)
        any_bid = None if leader < 0 else leader
        if ceilings_out and early_close(any_bid, close_at_bid, ceilings_out, highest_bid):
            return answer.ms
    return None


def _ceilings_out(in_order: Sequence[_Answer]) -> list[tuple[Decimal | None, ...]]:
    """After each answer the highest score that anybody still out can reach (None: not known)."""
    highest: tuple[Decimal | None, ...] = ()
    after: list[tuple[Decimal | None, ...]] = []
    for answer in reversed(in_order):
        after.append(highest)
        known = answer.ceiling is not None and None not in highest
        ceilings = [each for each in (answer.ceiling, *highest) if each is not None]
        highest = (max(ceilings),) if known else (None,)
    return after[::-1]


def _await(answer: _Answer, closed: float | None, *, again: bool) -> _Answer:
    """The answer after the auction's end; ``again``: that is another one than recorded."""
    cut = closed is not None and answer.ms > closed
    if answer.silent_until is not None:
        known = closed is not None and closed <= answer.silent_until
        answer = replace(answer, note=None if known else NO_ANSWER_RECORDED)
    elif not again:
        return answer
    if not cut:
        return answer
    return replace(
        answer, entry=TraceEntry(answer.entry.offer, Reason.NOT_AWAITED, ms=closed), bid=None
    )


def _lasted(closed: float | None, answers: Sequence[_Answer]) -> float:
    return max((each.ms for each in answers), default=0.0) if closed is None else closed


_UNHEARD: Final = frozenset({Reason.TIMEOUT, Reason.NOT_AWAITED})
