"""One decision: eligibility, fan-out, ranking, the way down the plan, a stored answer."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from auction.domain.bidding import Bid, Quote, RefusedBid
from auction.domain.bids import judge
from auction.domain.call import Call
from auction.domain.deadline import MINIMUM_USEFUL_MS, plan_times
from auction.domain.decision import (
    Candidate,
    Finish,
    FinishResult,
    Opened,
    PastCall,
    RoutedBy,
    Superseded,
)
from auction.domain.eligibility import current_refusal, fixed_refusal
from auction.domain.ids import OwnerId, PingId, PostId
from auction.domain.ranking import rank
from auction.domain.reasons import NoRouteReason, Reason
from auction.domain.terms import AuctionTerms, Campaign, OfferTerms
from auction.engine.fanout import FanOut, Invited
from auction.engine.outcomes import Outcome, Outcomes
from auction.engine.persistence import persist
from auction.engine.plan import SAID_NO, auction_candidate, static_candidates
from auction.engine.reply import Reply
from auction.engine.walk import Taken, Walk
from auction.ports import Clock, Ids, Ledger, PingOrder, Recorder, Snapshot, UsageView

ANSWER_LEASE_S = 60
"""How long past its dial timeout an unanswered attempt keeps its slot (contract, "Concurrency")."""

LATE_LEASE_MS = 10_000
"""How long a decision that came too late keeps its slot for the switch's retry."""


FINISH_WITHIN_S = 5.0
"""How long past its deadline a decision is tried to be stored: a buyer may have taken the call."""

KEPT_FOR_THE_WAY = 1 / 3
"""The share of the reply's reserve that an answer needs to travel; storing it may take the rest."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the engine needs from the world."""

    ledger: Ledger
    usage: UsageView
    clock: Clock
    ids: Ids
    recorder: Recorder


@dataclass(slots=True)
class Auction:
    """The decision of one call under one snapshot of the catalogue. ``started`` is monotonic."""

    call: Call
    snapshot: Snapshot
    campaign: Campaign | None
    started: float
    ports: Ports
    attempt: int = 1
    late: bool = False

    async def decide(self, opened: Opened) -> bytes | Superseded:
        """The stored answer, or that another decider has taken the call over."""
        if opened.received_at is not None:
            self.call = replace(self.call, received_at=opened.received_at)
        if self.campaign is None:
            outcomes = Outcomes(self.snapshot.catalogue.revision)
            reason = NoRouteReason.UNKNOWN_CAMPAIGN
            return await self._finish(opened, outcomes, None, reason, binding=False)
        if self._caller_blocked(self.campaign):
            outcomes = self._blocked_outcomes(self.campaign)
            return await self._finish(opened, outcomes, None, NoRouteReason.CALLER_BLOCKED)
        if opened.plan is not None:
            outcomes = Outcomes.restored(opened.plan.trace)
            walk = self._walk(opened, self.campaign, outcomes)
            taken = await walk.resume(opened.plan.candidates, opened.plan.position)
        elif self._is_late():
            # Nobody waits any more: the retry, in time again, gets a whole auction.
            outcomes = Outcomes(self.snapshot.catalogue.revision)
            return await self._finish(opened, outcomes, None, NoRouteReason.TOO_LATE, binding=False)
        else:
            outcomes = Outcomes(self.snapshot.catalogue.revision)
            plan = await self._plan(self.campaign, opened.past_calls, outcomes)
            taken = await self._walk(opened, self.campaign, outcomes).run(plan)
        if isinstance(taken, Superseded):
            return taken
        refusal = None if taken else _no_route_reason(outcomes)
        return await self._finish(opened, outcomes, taken, refusal)

    @property
    def decision_ms(self) -> float:
        """How long after ``started`` the decision is due."""
        terms = _auction_terms(self.campaign)
        timeout_ms = self.call.timeout_ms
        allowed_ms = terms.budget_ms if timeout_ms is None else min(timeout_ms, terms.budget_ms)
        return allowed_ms - terms.reply_reserve_ms

    def _caller_blocked(self, campaign: Campaign) -> bool:
        return self.call.caller.number in campaign.caller_blocklist

    def _blocked_outcomes(self, campaign: Campaign) -> Outcomes:
        outcomes = Outcomes(self.snapshot.catalogue.revision)
        for offer in campaign.offers:
            if fixed_refusal(self.call, offer) is None:
                outcomes.refuse(
                    offer.id, Reason.SUPPRESSED, "caller is on the campaign's blocklist"
                )
        return outcomes

    async def _plan(
        self, campaign: Campaign, past_calls: Sequence[PastCall], outcomes: Outcomes
    ) -> tuple[Candidate, ...]:
        began = self.ports.clock.monotonic()
        eligible = await self._eligible(campaign, past_calls, outcomes)
        outcomes.timings.eligible_ms = (self.ports.clock.monotonic() - began) * 1000
        invited = await self._fan_out(campaign, eligible, outcomes)
        ranked = self._ranked(invited, outcomes)
        statics = [each for each in eligible if _may_be_static(each, outcomes)]
        return (
            *ranked,
            *static_candidates(statics, self.call.call_id, test=self.call.test),
        )

    async def _eligible(
        self, campaign: Campaign, past_calls: Sequence[PastCall], outcomes: Outcomes
    ) -> list[OfferTerms]:
        call = self.call
        asked = [offer for offer in campaign.offers if fixed_refusal(call, offer) is None]
        await self.ports.usage.refresh(_limited_owners(asked))
        usage = self.ports.usage.read()
        eligible: list[OfferTerms] = []
        for offer in asked:
            refused = current_refusal(call, offer, past_calls, usage)
            if refused is None:
                eligible.append(offer)
                outcomes.refuse(offer.id, Reason.STANDBY)
            else:
                outcomes.refuse(offer.id, refused.reason, refused.detail)
        return eligible

    async def _fan_out(
        self, campaign: Campaign, eligible: Sequence[OfferTerms], outcomes: Outcomes
    ) -> list[Invited]:
        orders = self._orders(campaign, eligible, outcomes)
        if not orders:
            return []
        began = self.ports.clock.monotonic()
        fan_out = FanOut(
            orders,
            self.snapshot.gateway,
            self.ports.clock,
            self._judge,
            campaign.auction.close_at_bid,
        )
        invited = await fan_out.run()
        elapsed_ms = (self.ports.clock.monotonic() - began) * 1000
        outcomes.timings.ping_ms = elapsed_ms
        outcomes.timings.waited_ms += elapsed_ms
        for each in invited:
            self._note(each, outcomes)
        return invited

    def _orders(
        self, campaign: Campaign, eligible: Sequence[OfferTerms], outcomes: Outcomes
    ) -> list[PingOrder]:
        auctioned = [each for each in eligible if each.auctioned]
        ping_ms = self._ping_ms(campaign, auctioned)
        token = self.ports.ids.token()
        orders: list[PingOrder] = []
        for number, offer in enumerate(auctioned):
            assert offer.ping_post is not None, "only ping-post offers are auctioned"
            if ping_ms < MINIMUM_USEFUL_MS:
                outcomes.refuse(offer.id, Reason.BUDGET_TOO_SMALL, "no time left to ping")
                continue
            timeout_ms = int(min(offer.ping_post.ping_timeout_ms, ping_ms))
            ping_id = PingId(f"{token}-{number}")
            orders.append(PingOrder(self.call, campaign, offer, ping_id, timeout_ms))
        return orders

    def _ping_ms(self, campaign: Campaign, auctioned: Sequence[OfferTerms]) -> float:
        terms = [each.ping_post for each in auctioned if each.ping_post is not None]
        times = plan_times(
            self.call.timeout_ms,
            campaign.auction,
            [each.ping_timeout_ms for each in terms],
            [each.post_timeout_ms for each in terms if each.posts],
            elapsed_ms=int((self.ports.clock.monotonic() - self.started) * 1000),
        )
        return times.ping_ms

    def _judge(self, quote: Quote, order: PingOrder) -> Bid | RefusedBid:
        catalogue = self.snapshot.catalogue
        now = self.ports.clock.now()
        return judge(
            quote, order.offer, order.campaign, catalogue.currency, now, catalogue.default_country
        )

    def _note(self, invited: Invited, outcomes: Outcomes) -> None:
        outcome = invited.outcome
        assert outcome is not None, "the fan-out gives every invited offer an outcome"
        outcomes.record(outcome)
        if outcome.ms is None:
            return
        recorder = self.ports.recorder
        name = "bid" if invited.bid else _outcome_name(outcome)
        recorder.pinged(outcome.offer, name, outcome.ms / 1000)
        if invited.bid is not None:
            recorder.bid(outcome.offer, invited.bid.amount)

    def _ranked(self, invited: Sequence[Invited], outcomes: Outcomes) -> list[Candidate]:
        bids = {each.bid.offer: each for each in invited if each.bid is not None}
        ranking = rank([each.bid for each in bids.values() if each.bid], self.call.call_id)
        outcomes.ranked(ranking)
        return [
            auction_candidate(
                bid,
                bids[bid.offer].order.offer,
                bids[bid.offer].order.ping_id,
                PostId(f"{bids[bid.offer].order.ping_id}-post"),
                test=self.call.test,
            )
            for bid in ranking
        ]

    def _walk(self, opened: Opened, campaign: Campaign, outcomes: Outcomes) -> Walk:
        ports = self.ports
        return Walk(
            call=self.call,
            campaign=campaign,
            epoch=opened.epoch,
            attempt=self.attempt,
            until=self.started + self.decision_ms / 1000,
            outcomes=outcomes,
            offers=self.snapshot.catalogue.offers,
            snapshot=self.snapshot,
            ledger=ports.ledger,
            clock=ports.clock,
            recorder=ports.recorder,
        )

    async def _finish(
        self,
        opened: Opened,
        outcomes: Outcomes,
        taken: Taken | None,
        reason: str | None,
        *,
        binding: bool = True,
    ) -> bytes | Superseded:
        reply = self._reply(taken, reason)
        elapsed_ms = (self.ports.clock.monotonic() - self.started) * 1000
        outcomes.timings.total_ms = elapsed_ms
        answer, trace = reply.dump(elapsed_ms), outcomes.dump()
        nobody_posted = taken is None and outcomes.timings.post_ms == 0

        def store() -> Awaitable[FinishResult]:
            self.late = self._is_late()
            finish = Finish(
                call=self.call,
                epoch=opened.epoch,
                attempt=self.attempt,
                action=reply.action,
                answer=answer,
                trace=trace,
                candidate=reply.candidate,
                destination=reply.destination,
                reason=reason,
                currency=None if taken is None else self.snapshot.catalogue.currency,
                lease_ms=LATE_LEASE_MS if self.late else self._lease_ms(reply),
                late=self.late,
                # A stall of ours must not turn a call away for good: its retry is decided anew.
                binding=binding and not (self.late and nobody_posted),
                answered_lease_ms=self._answered_lease_ms,
                collected_lease_ms=self._lease_ms(reply),
            )
            return self.ports.ledger.finish(finish)

        until = self.started + self.decision_ms / 1000 + FINISH_WITHIN_S
        stored = await persist(store, self.ports.clock, until)
        if isinstance(stored, Superseded):
            return stored
        self._record(reply.routed_by, outcomes)
        return answer

    def _is_late(self) -> bool:
        elapsed_ms = (self.ports.clock.monotonic() - self.started) * 1000
        return elapsed_ms > answer_within_ms(self.call, self.campaign)

    def _reply(self, taken: Taken | None, reason: str | None) -> Reply:
        fallback = self.campaign.no_route_destination if self.campaign else None
        return Reply(
            call=self.call,
            attempt=self.attempt,
            candidate=None if taken is None else taken.candidate,
            destination=fallback if taken is None else taken.destination,
            currency=self.snapshot.catalogue.currency,
            reason=reason,
        )

    def _lease_ms(self, reply: Reply) -> int:
        if self.campaign is None or reply.destination is None:
            return 0
        if not self.campaign.reports_answered:
            return self.campaign.max_call_s * 1000
        return (reply.destination.dial_timeout_s + ANSWER_LEASE_S) * 1000

    @property
    def _answered_lease_ms(self) -> int:
        return 0 if self.campaign is None else self.campaign.max_call_s * 1000

    def _record(self, routed_by: RoutedBy | None, outcomes: Outcomes) -> None:
        total_ms = (self.ports.clock.monotonic() - self.started) * 1000
        overhead_ms = max(0.0, total_ms - outcomes.timings.waited_ms)
        campaign = None if self.campaign is None else self.campaign.id
        if self.call.test:
            self.ports.recorder.tested(campaign, routed_by)
            return
        self.ports.recorder.decided(campaign, routed_by, total_ms / 1000, overhead_ms / 1000)


def answer_within_ms(call: Call, campaign: Campaign | None) -> float:
    """How long after its arrival a call is answered at the latest; then the switch asks again."""
    terms = _auction_terms(campaign)
    allowed_ms = terms.budget_ms if call.timeout_ms is None else call.timeout_ms
    return max(allowed_ms - terms.reply_reserve_ms * KEPT_FOR_THE_WAY, allowed_ms / 2)


def _auction_terms(campaign: Campaign | None) -> AuctionTerms:
    return AuctionTerms() if campaign is None else campaign.auction


def _limited_owners(offers: Sequence[OfferTerms]) -> set[OwnerId]:
    return {limits.owner for offer in offers for limits in offer.limits if limits.limited}


def _may_be_static(offer: OfferTerms, outcomes: Outcomes) -> bool:
    return offer.static_amount is not None and outcomes.reason_of(offer.id) not in SAID_NO


def _outcome_name(outcome: Outcome) -> str:
    return "bid" if outcome.reason is None else outcome.reason.outcome


def _no_route_reason(outcomes: Outcomes) -> str:
    if any(outcome.reason is not None and _was_eligible(outcome) for outcome in outcomes.all()):
        return NoRouteReason.NO_BID_AND_NO_STATIC
    return NoRouteReason.NO_ELIGIBLE_OFFER


def _was_eligible(outcome: Outcome) -> bool:
    return outcome.ms is not None or outcome.reason in _ELIGIBLE_BUT_UNUSED


_ELIGIBLE_BUT_UNUSED = frozenset({Reason.STANDBY, Reason.BUDGET_TOO_SMALL})
