"""Down the plan: reserve, post, go on when refused, until one place takes the call."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from auction.domain.bidding import PostAccepted, PostNotSent, PostRejected, PostReply, PostUnknown
from auction.domain.bids import resolve_destination
from auction.domain.call import Call
from auction.domain.deadline import MINIMUM_USEFUL_MS
from auction.domain.ids import OfferId
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.reasons import Reason
from auction.domain.reserving import NothingFits, ReserveRequest, Superseded
from auction.domain.terms import Campaign, Destination, OfferTerms, OnUnknown
from auction.domain.trace import ROUTED_UNANSWERED
from auction.domain.value import value
from auction.engine.guarding import tell_post
from auction.engine.outcomes import Outcomes
from auction.engine.persistence import persist
from auction.engine.plan import expired, without_offer
from auction.ports import Clock, Ledger, PostOrder, Recorder, Snapshot

POSTED_BY_THE_DEAD = "the process that posted it died"

KEPT_FOR_STORING_MS = 60
KEPT_SHARE = 0.2
"""Of the time left, a post leaves this much to give the hold back and take the next place."""

HOLD_SLACK_MS = 30_000
"""How long a hold outlives the deadline of a decider that died: a retry may take it over."""


@value(frozen=True, slots=True)
class Taken:
    """The place that takes the call."""

    candidate: Candidate
    destination: Destination


@dataclass(slots=True)
class Walk:
    """One call's way down its plan. ``until`` is monotonic: posts must be over by then."""

    call: Call
    campaign: Campaign
    epoch: int
    attempt: int
    until: float
    outcomes: Outcomes
    offers: Mapping[OfferId, OfferTerms]
    snapshot: Snapshot
    ledger: Ledger
    clock: Clock
    recorder: Recorder
    maybe_posted: OfferId | None = None

    async def run(self, plan: tuple[Candidate, ...]) -> Taken | Superseded | None:
        """The first place that fits and accepts; None when nobody is left and nothing is held."""
        while plan := self._still_possible(plan):
            reserve = partial(self.ledger.reserve, self._request(plan))
            reserved = await persist(reserve, self.clock, self.until)
            if isinstance(reserved, Superseded):
                return reserved
            for position, reason in reserved.refused:
                self._lost_capacity(plan[position], reason)
            if isinstance(reserved, NothingFits):
                return None
            candidate = plan[reserved.position]
            taken = await self._take(candidate)
            if taken is not None:
                return taken
            plan = without_offer(plan[reserved.position + 1 :], candidate.offer)
        return None

    async def resume(
        self, plan: tuple[Candidate, ...], position: int | None
    ) -> Taken | Superseded | None:
        """Go on where a decider died; an offer that may have been posted is not posted twice."""
        if position is None:
            return await self.run(plan)
        if plan[position].posts:
            self.maybe_posted = plan[position].offer
        return await self.run(plan[position:])

    async def _take(self, candidate: Candidate) -> Taken | None:
        """Hand the call to a place that holds a reservation; None when it does not take it."""
        if not candidate.posts:
            return self._won(candidate, candidate.destination)
        in_time = self._left_ms() >= MINIMUM_USEFUL_MS
        if candidate.offer == self.maybe_posted and not (in_time and self._repeatable(candidate)):
            return self._unknown(candidate, POSTED_BY_THE_DEAD)
        if not in_time:
            self.outcomes.mark(candidate.offer, Reason.BUDGET_TOO_SMALL, "no time to post")
            return None
        began = self.clock.monotonic()
        reply = await self._post(candidate)
        seconds = self.clock.monotonic() - began
        self.outcomes.timings.post_ms += seconds * 1000
        self.outcomes.timings.waited_ms += seconds * 1000
        self.recorder.posted(candidate.offer, _POST_OUTCOMES[type(reply)], seconds)
        return self._judge_post(candidate, reply)

    def _repeatable(self, candidate: Candidate) -> bool:
        offer = self.offers.get(candidate.offer)
        return offer is not None and offer.ping_post is not None and offer.ping_post.post_idempotent

    async def _post(self, candidate: Candidate) -> PostReply:
        offer = self.offers.get(candidate.offer)
        if offer is None or offer.ping_post is None:
            return PostNotSent("the offer is gone", blames_buyer=False)
        terms = offer.ping_post
        budget_ms = max(terms.post_timeout_ms, self.campaign.auction.post_budget_ms)
        within_ms = int(min(budget_ms, self._left_ms()))
        timeout_ms = min(terms.post_timeout_ms, within_ms)
        order = PostOrder(self.call, self.campaign, offer, candidate, timeout_ms, within_ms)
        try:
            async with asyncio.timeout((within_ms + MINIMUM_USEFUL_MS) / 1000):
                reply = await self.snapshot.gateway.post(order)
        except TimeoutError:
            reply = PostUnknown("no answer in time")
        tell_post(self.snapshot, order, reply, self.clock)
        return reply

    def _judge_post(self, candidate: Candidate, reply: PostReply) -> Taken | None:
        match reply:
            case PostAccepted(destination=sent):
                return self._accepted(candidate, sent)
            case PostRejected(detail=detail):
                self.outcomes.mark(candidate.offer, Reason.POST_REJECTED, detail)
            case PostNotSent(detail=detail):
                self.outcomes.mark(candidate.offer, Reason.POST_ERROR, detail)
            case PostUnknown(detail=detail):
                return self._unknown(candidate, detail)
        return None

    def _accepted(self, candidate: Candidate, sent: object) -> Taken:
        """The buyer has the call: a destination of its that can't be used is left aside."""
        destination = resolve_destination(
            sent,
            candidate.destination,
            self.campaign.allowed_countries,
            self.snapshot.catalogue.default_country,
        )
        if destination is not None:
            return self._won(candidate, destination)
        return self._won(candidate, candidate.destination, "the post's destination is not usable")

    def _unknown(self, candidate: Candidate, detail: str | None) -> Taken | None:
        offer = self.offers.get(candidate.offer)
        terms = None if offer is None else offer.ping_post
        if terms is not None and terms.on_unknown is OnUnknown.ROUTE:
            return self._won(candidate, candidate.destination, ROUTED_UNANSWERED)
        self.outcomes.mark(candidate.offer, Reason.POST_UNKNOWN, detail)
        return None

    def _won(
        self, candidate: Candidate, destination: Destination, detail: str | None = None
    ) -> Taken:
        if candidate.routed_by is RoutedBy.STATIC:
            self.outcomes.route_statically(
                candidate.offer, pinged=self.outcomes.was_pinged(candidate.offer)
            )
        else:
            self.outcomes.mark(candidate.offer, None, detail)
        return Taken(candidate, destination)

    def _left_ms(self) -> float:
        """What posts may still take: storing the decision, or going on to the next, needs time."""
        left_ms = (self.until - self.clock.monotonic()) * 1000
        return left_ms - min(KEPT_FOR_STORING_MS, left_ms * KEPT_SHARE)

    def _request(self, plan: tuple[Candidate, ...]) -> ReserveRequest:
        left_ms = max(0, int((self.until - self.clock.monotonic()) * 1000))
        return ReserveRequest(
            call=self.call,
            campaign=self.campaign.id,
            epoch=self.epoch,
            attempt=self.attempt,
            candidates=plan,
            start=0,
            trace=self.outcomes.dump(),
            lease_ms=left_ms + HOLD_SLACK_MS,
        )

    def _still_possible(self, plan: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """The plan without bids that have expired and posts there is no time for."""
        now = self.clock.now()
        left_ms = self._left_ms()
        if left_ms >= MINIMUM_USEFUL_MS and not any(expired(each, now) for each in plan):
            return plan
        kept: list[Candidate] = []
        for candidate in plan:
            if candidate.offer == self.maybe_posted:
                kept.append(candidate)
            elif expired(candidate, now):
                self.outcomes.mark(candidate.offer, Reason.EXPIRED, "before it could be taken")
            elif candidate.posts and left_ms < MINIMUM_USEFUL_MS:
                self.outcomes.mark(candidate.offer, Reason.BUDGET_TOO_SMALL, "no time to post")
            else:
                kept.append(candidate)
        return tuple(kept)

    def _lost_capacity(self, candidate: Candidate, reason: Reason) -> None:
        pinged = self.outcomes.was_pinged(candidate.offer)
        if candidate.offer == self.maybe_posted:
            self.outcomes.mark(candidate.offer, Reason.POST_UNKNOWN, POSTED_BY_THE_DEAD)
        elif candidate.routed_by is RoutedBy.AUCTION:
            self.outcomes.mark(candidate.offer, Reason.CAP_LOST, reason.outcome)
        elif not pinged:
            self.outcomes.mark(candidate.offer, reason, "when reserving")


_POST_OUTCOMES: dict[type[PostReply], str] = {
    PostAccepted: "accepted",
    PostRejected: "rejected",
    PostUnknown: "unknown",
    PostNotSent: "error",
}
