"""One decision: who is asked, the way down the plan, a stored answer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from auction.domain.call import Call
from auction.domain.call_view import CallView
from auction.domain.ids import OfferId
from auction.domain.next_attempt import Rerouting
from auction.domain.opening import Opened
from auction.domain.overload import LoadLevel
from auction.domain.plan import Candidate
from auction.domain.quality import QualityTerms, rate
from auction.domain.reasons import HELD_BACK, NoRouteReason, Reason
from auction.domain.reserving import Superseded
from auction.domain.suppression import Suppressed, on_list, suppressed
from auction.domain.terms import Campaign, OfferTerms
from auction.engine.bidding_round import BiddingRound
from auction.engine.conclusion import Conclusion
from auction.engine.outcome import Outcome
from auction.engine.outcomes import Outcomes
from auction.engine.plan import SAID_NO, standing_bids
from auction.engine.walk import Walk
from auction.engine.world import Ports
from auction.ports import Snapshot


@dataclass(slots=True)
class Auction:
    """The decision of one call under one snapshot of the catalogue. ``started`` is monotonic.

    ``level``: whether there is time to ask for bids.
    """

    call: Call
    snapshot: Snapshot
    campaign: Campaign | None
    started: float
    ports: Ports
    attempt: int = 1
    level: LoadLevel = LoadLevel.NORMAL
    _conclusion: Conclusion = field(init=False)

    def __post_init__(self) -> None:
        self._conclusion = Conclusion(
            self.call,
            self.campaign,
            self.snapshot.catalogue.currency,
            self.attempt,
            self.started,
            self.ports,
            self.snapshot.notices,
        )

    @property
    def late(self) -> bool:
        """Whether the decision was stored too late for its switch."""
        return self._conclusion.late

    @property
    def binds(self) -> bool:
        """Whether the decision was stored in time and its retries get the same answer."""
        return self._conclusion.bound and not self._conclusion.late

    @property
    def decision_ms(self) -> float:
        """How long after ``started`` the decision is due."""
        return self._conclusion.decision_ms

    async def decide(self, opened: Opened) -> bytes | Superseded:
        """The stored answer, or that another decider has taken the call over."""
        self.call = self._conclusion.call = _as_opened(self.call, opened)
        return await self._decide(opened, None)

    async def decide_next(self, again: Rerouting) -> bytes | Superseded:
        """As ``decide``, for a call of which earlier attempts have failed."""
        opened = Opened(again.epoch, again.past_calls, again.plan, suppressed=again.suppressed)
        return await self._decide(opened, again)

    async def _decide(self, opened: Opened, again: Rerouting | None) -> bytes | Superseded:
        outcomes = Outcomes(self.snapshot.catalogue.revision)
        store = self._conclusion.store
        if self.campaign is None:
            reason = NoRouteReason.UNKNOWN_CAMPAIGN
            return await store(opened.epoch, outcomes, None, reason, binding=False)
        if self.campaign.quality is not None:
            self._score(self.campaign.quality, outcomes, again)
        lists = suppressed(self.campaign.suppressions, opened.suppressed)
        blocked = self._blocked(self.campaign, lists, planned=opened.plan is not None)
        if blocked is not None:
            outcomes.suppressed = opened.suppressed
            self._refuse_all(self.campaign, outcomes, Reason.SUPPRESSED, blocked)
            return await store(opened.epoch, outcomes, None, NoRouteReason.CALLER_BLOCKED)
        number = self.snapshot.catalogue.number_of(self.call)
        is_new = again is None and opened.plan is None
        if is_new and number is not None and number.rejects(self.call):
            self._refuse_all(self.campaign, outcomes, Reason.NUMBER_EXCLUDED, _BY_THE_NUMBER)
            return await store(opened.epoch, outcomes, None, NoRouteReason.NUMBER_REJECTED)
        if opened.plan is not None:
            outcomes = Outcomes.restored(opened.plan.trace)
            walk = self._walk(opened.epoch, self.campaign, outcomes)
            taken = await walk.resume(opened.plan.candidates, opened.plan.position)
        elif self._conclusion.is_late():
            # Nobody waits any more: the retry, in time again, gets a whole auction.
            too_late = NoRouteReason.TOO_LATE
            return await store(opened.epoch, outcomes, None, too_late, binding=False)
        else:
            outcomes.suppressed = opened.suppressed
            plan = await self._plan(self.campaign, opened, again, outcomes, lists)
            taken = await self._walk(opened.epoch, self.campaign, outcomes).run(plan)
        if isinstance(taken, Superseded):
            return taken
        refusal = None if taken else _no_route_reason(outcomes)
        return await store(opened.epoch, outcomes, taken, refusal)

    def _blocked(self, campaign: Campaign, lists: Suppressed, *, planned: bool) -> str | None:
        """Why the campaign takes nothing from this caller; None: it does.

        What a decider that died had planned it may have sold: the lists were looked at then.
        """
        if self.call.caller.number in campaign.caller_blocklist:
            return _ON_THE_BLOCKLIST
        return None if planned or lists.blocked_by is None else on_list(lists.blocked_by)

    def _score(self, terms: QualityTerms, outcomes: Outcomes, again: Rerouting | None) -> None:
        """Give the call its quality; later attempts keep the first one's."""
        quality = Outcomes.restored(again.traces[0]).quality if again and again.traces else None
        if quality is None:
            source = self.call.source
            standing = None if source is None else self.ports.forecasts.standing(source)
            quality = rate(self.call, terms, standing)
        outcomes.quality = quality
        self.call = self._conclusion.call = replace(self.call, quality=quality.score)

    def _refuse_all(
        self, campaign: Campaign, outcomes: Outcomes, reason: Reason, detail: str
    ) -> None:
        for offer in self.snapshot.indexes[campaign.id].allowed(CallView(self.call)):
            outcomes.refuse(offer.terms.id, reason, detail)

    async def _plan(
        self,
        campaign: Campaign,
        opened: Opened,
        again: Rerouting | None,
        outcomes: Outcomes,
        lists: Suppressed,
    ) -> tuple[Candidate, ...]:
        bidding = BiddingRound(
            self.call,
            campaign,
            self.snapshot,
            self.started,
            self.ports,
            outcomes,
            hurried=self.level is not LoadLevel.NORMAL,
            suppressed=lists,
        )
        if again is None:
            return await bidding.plan(await bidding.eligible(opened.past_calls))
        tried = dict(again.tried)
        for offer, reason in tried.items():
            outcomes.refuse(offer, reason, "an earlier attempt of this call")
        eligible = await bidding.eligible_again(opened.past_calls, tried)
        return await self._plan_next(bidding, eligible, again)

    async def _plan_next(
        self, bidding: BiddingRound, eligible: list[OfferTerms], again: Rerouting
    ) -> tuple[Candidate, ...]:
        said_no = _said_no(again)
        if bidding.campaign.reauction:
            handed = {offer for offer, each in said_no.items() if each.reason is not Reason.NO_BID}
            _repeat(said_no, handed, bidding.outcomes)
            return await bidding.plan(_without(eligible, handed))
        _repeat(said_no, {offer.id for offer in eligible}, bidding.outcomes)
        bids = standing_bids(again.candidates, _without(eligible, said_no))
        bidding.outcomes.standing(bids)
        return (*bids, *bidding.statics(eligible))

    def _walk(self, epoch: int, campaign: Campaign, outcomes: Outcomes) -> Walk:
        ports = self.ports
        return Walk(
            call=self.call,
            campaign=campaign,
            epoch=epoch,
            attempt=self.attempt,
            until=self.started + self.decision_ms / 1000,
            outcomes=outcomes,
            offers=self.snapshot.catalogue.offers,
            snapshot=self.snapshot,
            ledger=ports.ledger,
            clock=ports.clock,
            recorder=ports.recorder,
        )


def _as_opened(call: Call, opened: Opened) -> Call:
    """The call as it is recorded: when it first came in, with what its number said of it then."""
    if opened.received_at is not None:
        call = replace(call, received_at=opened.received_at)
    known = opened.known_as
    return call if known is None else replace(call, source=known.source, fields=known.fields)


def _said_no(again: Rerouting) -> Mapping[OfferId, Outcome]:
    """The offers that said no in earlier attempts, with what they said."""
    return {
        outcome.offer: outcome
        for trace in again.traces
        for outcome in Outcomes.restored(trace).all()
        if outcome.reason in SAID_NO
    }


def _repeat(
    said_no: Mapping[OfferId, Outcome], offers: Collection[OfferId], outcomes: Outcomes
) -> None:
    for offer, outcome in said_no.items():
        if offer in offers and outcome.reason is not None:
            outcomes.refuse(offer, outcome.reason, "in an earlier attempt of this call")


def _without(eligible: list[OfferTerms], offers: Collection[OfferId]) -> list[OfferTerms]:
    return [offer for offer in eligible if offer.id not in offers]


def _no_route_reason(outcomes: Outcomes) -> str:
    if any(outcome.reason is not None and _was_eligible(outcome) for outcome in outcomes.all()):
        return NoRouteReason.NO_BID_AND_NO_STATIC
    return NoRouteReason.NO_ELIGIBLE_OFFER


def _was_eligible(outcome: Outcome) -> bool:
    if outcome.reason is None or outcome.ms is not None or outcome.bid is not None:
        return True
    return outcome.reason in _ELIGIBLE_BUT_UNUSED or outcome.reason >= Reason.ATTEMPT_FAILED


_ELIGIBLE_BUT_UNUSED = SAID_NO | HELD_BACK | {Reason.STANDBY, Reason.BUDGET_TOO_SMALL}

_BY_THE_NUMBER = "the dialled number takes no such call"
_ON_THE_BLOCKLIST = "caller is on the campaign's blocklist"
