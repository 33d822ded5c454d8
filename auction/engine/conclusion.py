"""The end of a decision: the reply, its leases, and storing both before anybody hears of it."""

from collections.abc import Awaitable
from dataclasses import dataclass

from auction.domain.call import Call
from auction.domain.finishing import Finish, FinishResult
from auction.domain.reasons import Reason
from auction.domain.reserving import Superseded
from auction.domain.terms import AuctionTerms, Campaign
from auction.engine.notices import notices_of
from auction.engine.outcomes import Outcomes
from auction.engine.persistence import persist
from auction.engine.reply import Reply
from auction.engine.walk import Taken
from auction.engine.world import Ports
from auction.ports import BidderNotices

ANSWER_LEASE_S = 60
"""How long past its dial timeout an unanswered attempt keeps its slot (contract, "Concurrency")."""

LATE_LEASE_MS = 10_000
"""How long a decision that came too late keeps its slot for the switch's retry."""

FINISH_WITHIN_S = 5.0
"""How long past its deadline a decision is tried to be stored: a buyer may have taken the call."""

LEAST_WAIT_MS = 100
"""So long every switch is given an answer, though it be late, however little it says it waits."""

KEPT_FOR_THE_WAY = 1 / 3
"""The share of the reply's reserve that an answer needs to travel; storing it may take the rest."""


@dataclass(slots=True)
class Conclusion:
    """Where one decision ends. ``started`` is monotonic.

    ``late``: its switch waits no more. ``bound``: its retries get the same answer.
    """

    call: Call
    campaign: Campaign | None
    currency: str
    attempt: int
    started: float
    ports: Ports
    notices: BidderNotices
    late: bool = False
    bound: bool = False

    async def store(
        self,
        epoch: int,
        outcomes: Outcomes,
        taken: Taken | None,
        reason: str | None,
        *,
        binding: bool = True,
    ) -> bytes | Superseded:
        """The answer once it is durable, or that another decider has taken the call over."""
        reply = self._reply(taken, reason)
        elapsed_ms = (self.ports.clock.monotonic() - self.started) * 1000
        outcomes.timings.total_ms = elapsed_ms
        answer, trace = reply.dump(elapsed_ms), outcomes.dump()

        def step() -> Awaitable[FinishResult]:
            self.late = self.is_late()
            # A stall of ours must not turn a call away for good: its retry is decided anew.
            posted = taken is not None or not self.late or _maybe_posted(outcomes)
            self.bound = binding and posted
            finish = Finish(
                call=self.call,
                epoch=epoch,
                attempt=self.attempt,
                action=reply.action,
                answer=answer,
                trace=trace,
                candidate=reply.candidate,
                destination=reply.destination,
                reason=reason,
                currency=None if taken is None else self.currency,
                lease_ms=LATE_LEASE_MS if self.late else self._lease_ms(reply),
                late=self.late,
                binding=self.bound,
                answered_lease_ms=self._answered_lease_ms,
                collected_lease_ms=self._lease_ms(reply),
                campaign=None if self.campaign is None else self.campaign.id,
            )
            return self.ports.ledger.finish(finish)

        until = self.started + self.decision_ms / 1000 + FINISH_WITHIN_S
        stored = await persist(step, self.ports.clock, until)
        if isinstance(stored, Superseded):
            return stored
        self._record(reply, outcomes)
        self._tell_bidders(outcomes, taken)
        return answer

    def _tell_bidders(self, outcomes: Outcomes, taken: Taken | None) -> None:
        wanted_by = self.notices.wanted_by
        if wanted_by and self.campaign is not None:
            news = notices_of(outcomes.all(), self.campaign.id, taken, wanted_by)
            self.notices.tell(news)

    @property
    def decision_ms(self) -> float:
        """How long after ``started`` the decision is due."""
        terms = auction_terms(self.campaign)
        timeout_ms = self.call.timeout_ms
        allowed_ms = terms.budget_ms if timeout_ms is None else min(timeout_ms, terms.budget_ms)
        return allowed_ms - terms.reply_reserve_ms

    def is_late(self) -> bool:
        """Whether the switch has stopped waiting by now."""
        elapsed_ms = (self.ports.clock.monotonic() - self.started) * 1000
        return elapsed_ms > answer_within_ms(self.call, self.campaign)

    def _reply(self, taken: Taken | None, reason: str | None) -> Reply:
        fallback = self.campaign.no_route_destination if self.campaign else None
        return Reply(
            call=self.call,
            attempt=self.attempt,
            candidate=None if taken is None else taken.candidate,
            destination=fallback if taken is None else taken.destination,
            currency=self.currency,
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

    def _record(self, reply: Reply, outcomes: Outcomes) -> None:
        total_ms = (self.ports.clock.monotonic() - self.started) * 1000
        overhead_ms = max(0.0, total_ms - outcomes.timings.waited_ms)
        campaign = None if self.campaign is None else self.campaign.id
        recorder, routed_by, candidate = self.ports.recorder, reply.routed_by, reply.candidate
        if self.call.test:
            recorder.tested(campaign, routed_by)
            return
        if candidate is not None:
            recorder.routed(candidate.offer, candidate.routed_by)
        if self.attempt == 1:
            recorder.decided(campaign, routed_by, total_ms / 1000, overhead_ms / 1000)
        else:
            recorder.rerouted(campaign, routed_by)


def _maybe_posted(outcomes: Outcomes) -> bool:
    """Whether a buyer may have been handed the call, by us or by a decider that died."""
    handed = {Reason.POST_REJECTED, Reason.POST_UNKNOWN}
    reasons = {outcome.reason for outcome in outcomes.all()}
    return outcomes.timings.post_ms > 0 or not handed.isdisjoint(reasons)


def answer_within_ms(call: Call, campaign: Campaign | None) -> float:
    """How long after its arrival a call is answered at the latest; then the switch asks again."""
    terms = auction_terms(campaign)
    allowed_ms = terms.budget_ms if call.timeout_ms is None else call.timeout_ms
    return max(allowed_ms - terms.reply_reserve_ms * KEPT_FOR_THE_WAY, allowed_ms / 2)


def auction_terms(campaign: Campaign | None) -> AuctionTerms:
    """The campaign's auction, or the defaults where there is no campaign."""
    return AuctionTerms() if campaign is None else campaign.auction
