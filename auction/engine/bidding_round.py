"""Who may take a call now, what they bid for it, and in which order they are tried."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from auction.domain.bids import judge
from auction.domain.call import Call
from auction.domain.call_view import CallView
from auction.domain.compiled import CompiledOffer
from auction.domain.deadline import MINIMUM_USEFUL_MS, plan_times
from auction.domain.ids import OfferId, PingId
from auction.domain.offer_index import OfferIndex
from auction.domain.opening import PastCall
from auction.domain.overload import LoadLevel
from auction.domain.plan import Candidate
from auction.domain.ranking import rank
from auction.domain.reasons import Reason
from auction.domain.scoring import Weights, weigh
from auction.domain.suppression import NOT_SUPPRESSED, Suppressed, on_list
from auction.domain.terms import Campaign, OfferTerms, PayoutRule, RankBy
from auction.engine.fanout import FanOut, Invited, Judge
from auction.engine.guarding import Guarding
from auction.engine.outcomes import Outcomes
from auction.engine.plan import SAID_NO, auction_candidate, payouts_of, static_candidates
from auction.engine.world import Ports
from auction.ports import PingOrder, Snapshot


@dataclass(slots=True)
class BiddingRound:
    """One call among the offers of its campaign. ``started`` is monotonic.

    ``hurried``: there is too much to do, so nobody is asked where a static route will do.
    ``suppressed``: whose offers lists of numbers keep from this caller.
    """

    call: Call
    campaign: Campaign
    snapshot: Snapshot
    started: float
    ports: Ports
    outcomes: Outcomes
    hurried: bool = False
    suppressed: Suppressed = NOT_SUPPRESSED
    _weights: Weights | None = None

    async def plan(self, eligible: Sequence[OfferTerms]) -> tuple[Candidate, ...]:
        """Bids in their order, then static offers."""
        if self.hurried and (statics := self.statics(eligible)):
            self._ask_nobody(eligible)
            return tuple(statics)
        invited = await self.fan_out(eligible)
        return (*self._ranked(invited), *self.statics(eligible))

    async def eligible(self, past_calls: Sequence[PastCall]) -> list[OfferTerms]:
        """The offers that may take the call now; the outcome of each that terms allow is noted."""
        began = self.ports.clock.monotonic()
        view = CallView(self.call)
        allowed = self._chosen(self._index.allowed(view))
        return await self._with_room(view, allowed, past_calls, began)

    async def eligible_again(
        self, past_calls: Sequence[PastCall], tried: Collection[OfferId]
    ) -> list[OfferTerms]:
        """As ``eligible`` after an attempt has failed, without the offers that were tried.

        Hours are asked about this moment; windows of caps stay those of the call's arrival. What
        hours refuse now that they did not then, or the other way round, is noted too: nobody could
        tell it later.
        """
        began = self.ports.clock.monotonic()
        view = CallView(self.call)
        now = CallView(replace(self.call, received_at=self.ports.clock.now()))
        for offer in self._index.turned(view, now):
            refused = offer.fixed_refusal(now)
            if refused is not None and offer.terms.id not in tried:
                self.outcomes.refuse(offer.terms.id, refused.reason, refused.detail)
        allowed = [each for each in self._index.allowed(now) if each.terms.id not in tried]
        return await self._with_room(view, self._chosen(allowed), past_calls, began)

    @property
    def _index(self) -> OfferIndex:
        return self.snapshot.indexes[self.campaign.id]

    def _chosen(self, allowed: list[CompiledOffer]) -> list[CompiledOffer]:
        """Without those that the rules of the dialled number leave out, which is noted."""
        number = self.snapshot.catalogue.number_of(self.call)
        choice = None if number is None else number.choice(self.call)
        if choice is None:
            return allowed
        for each in allowed:
            if not choice.allows(each.terms.id):
                self.outcomes.refuse(each.terms.id, Reason.NUMBER_EXCLUDED, "by the dialled number")
        return [each for each in allowed if choice.allows(each.terms.id)]

    async def _with_room(
        self,
        view: CallView,
        allowed: Sequence[CompiledOffer],
        past_calls: Sequence[PastCall],
        began: float,
    ) -> list[OfferTerms]:
        owners = {owner for offer in allowed for owner in offer.owners}
        if owners:
            await self.ports.usage.refresh(owners)
        usage = self.ports.usage.read()
        eligible: list[OfferTerms] = []
        kept_from = self.suppressed.buyers
        for offer in allowed:
            refused = offer.current_refusal(view, past_calls, usage)
            if kept_from and offer.terms.buyer in kept_from:
                detail = on_list(kept_from[offer.terms.buyer])
                self.outcomes.refuse(offer.terms.id, Reason.SUPPRESSED, detail)
            elif refused is None:
                eligible.append(offer.terms)
                self.outcomes.standby(offer.terms.id)
            else:
                self.outcomes.refuse(offer.terms.id, refused.reason, refused.detail)
        self.outcomes.timings.eligible_ms = (self.ports.clock.monotonic() - began) * 1000
        return eligible

    async def fan_out(self, eligible: Sequence[OfferTerms]) -> list[Invited]:
        """Every auctioned offer asked for its bid, each with one outcome."""
        clock, outcomes = self.ports.clock, self.outcomes
        guarding = Guarding(self.snapshot, clock, outcomes, self.ports.recorder)
        orders = self._orders(eligible, guarding)
        if not orders:
            return []
        began = clock.monotonic()
        close_at_bid = self.campaign.auction.close_at_bid
        weights = self._weights = self._weigh(orders)
        gateway = self.snapshot.gateway
        fan_out = FanOut(orders, gateway, clock, self._judge(), close_at_bid, weights)
        try:
            invited = await fan_out.run()
        finally:
            guarding.tell(fan_out.invited)
        elapsed_ms = (clock.monotonic() - began) * 1000
        outcomes.timings.ping_ms = elapsed_ms
        outcomes.timings.waited_ms += elapsed_ms
        self._note(invited)
        return invited

    def _ask_nobody(self, eligible: Sequence[OfferTerms]) -> None:
        auctioned = [each for each in eligible if each.auctioned]
        for offer in auctioned:
            self.outcomes.refuse(offer.id, Reason.OVERLOADED)
        if auctioned:
            self.ports.recorder.overloaded(LoadLevel.STATIC_ONLY)

    def statics(self, eligible: Sequence[OfferTerms]) -> list[Candidate]:
        """Fixed-price routes among the eligible, without those that said no."""
        offers = [
            each
            for each in eligible
            if each.static_amount is not None and self.outcomes.reason_of(each.id) not in SAID_NO
        ]
        call = self.call
        return static_candidates(offers, call.call_id, test=call.test, payouts=self._payouts)

    @property
    def _payouts(self) -> tuple[PayoutRule, ...]:
        return payouts_of(self.campaign.payouts, self.call.source)

    def _orders(self, eligible: Sequence[OfferTerms], guarding: Guarding) -> list[PingOrder]:
        auctioned = [each for each in eligible if each.auctioned]
        ping_ms = self._ping_ms(auctioned)
        token = self.ports.ids.token()
        orders: list[PingOrder] = []
        for number, offer in enumerate(auctioned):
            assert offer.ping_post is not None, "only ping-post offers are auctioned"
            if ping_ms < MINIMUM_USEFUL_MS:
                self.outcomes.refuse(offer.id, Reason.BUDGET_TOO_SMALL, "no time left to ping")
                continue
            if offer.id in self.snapshot.guards and not guarding.admits(offer):
                continue
            timeout_ms = int(min(offer.ping_post.ping_timeout_ms, ping_ms))
            ping_id = PingId(f"{token}-{number}")
            orders.append(PingOrder(self.call, self.campaign, offer, ping_id, timeout_ms))
        return orders

    def _ping_ms(self, auctioned: Sequence[OfferTerms]) -> float:
        terms = [each.ping_post for each in auctioned if each.ping_post is not None]
        times = plan_times(
            self.call.timeout_ms,
            self.campaign.auction,
            [each.ping_timeout_ms for each in terms],
            [each.post_timeout_ms for each in terms if each.posts],
            elapsed_ms=int((self.ports.clock.monotonic() - self.started) * 1000),
        )
        return times.ping_ms

    def _judge(self) -> Judge:
        catalogue, campaign, now = self.snapshot.catalogue, self.campaign, self.ports.clock.now
        currency, country = catalogue.currency, catalogue.default_country
        return lambda quote, order: judge(quote, order.offer, campaign, currency, now(), country)

    def _weigh(self, orders: Sequence[PingOrder]) -> Weights | None:
        """What the bids are multiplied by, None where they are ranked by their amounts."""
        terms = self.campaign.auction
        if not terms.scored:
            return None
        by_revenue = terms.rank_by is RankBy.EXPECTED_REVENUE
        book = self.ports.forecasts.odds() if by_revenue else None
        return {
            order.offer.id: weigh(
                order.offer, self.call.source, None if book is None else book.of(order.offer)
            )
            for order in orders
        }

    def _note(self, invited: Sequence[Invited]) -> None:
        weights = self._weights
        record, recorder = self.outcomes.record, self.ports.recorder
        for each in invited:
            outcome, bid = each.outcome, each.bid
            assert outcome is not None, "the fan-out gives every invited offer an outcome"
            if weights is not None:
                outcome.weight = weights[outcome.offer]
            record(outcome)
            if outcome.ms is None:
                continue
            outcome.ping_id = each.order.ping_id
            if bid is not None:
                recorder.pinged(bid.offer, "bid", outcome.ms / 1000)
                recorder.bid(bid.offer, bid.amount)
            elif outcome.reason is not None:
                recorder.pinged(outcome.offer, outcome.reason.outcome, outcome.ms / 1000)

    def _ranked(self, invited: Sequence[Invited]) -> list[Candidate]:
        bids = [each.bid for each in invited if each.bid is not None]
        ranking = rank(bids, self.call.call_id, self._weights)
        self.outcomes.ranked(ranking)
        orders = {each.order.offer.id: each.order for each in invited}
        test, payouts = self.call.test, self._payouts
        return [
            auction_candidate(bid, order.offer, order.ping_id, test=test, payouts=payouts)
            for bid in ranking
            for order in (orders[bid.offer],)
        ]
