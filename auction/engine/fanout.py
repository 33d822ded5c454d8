"""The fan-out: all pings at once, each bounded by its own timeout, each with one outcome."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from operator import itemgetter

from auction.domain.bidding import Bid, NoBid, PingReply, Quote, RefusedBid
from auction.domain.deadline import early_close
from auction.domain.reasons import Reason
from auction.domain.scoring import Weights, score
from auction.engine.outcome import Outcome
from auction.ports import BuyerGateway, Clock, PingOrder

logger = logging.getLogger(__name__)

Judge = Callable[[Quote, PingOrder], Bid | RefusedBid]


@dataclass(slots=True)
class Invited:
    """One offer in the fan-out and, once known, how it ended, and whether by its buyer's fault.

    ``ceiling`` is the highest score that it can reach, None where that is not known.
    """

    order: PingOrder
    ceiling: Decimal | None = None
    future: "asyncio.Future[PingReply] | None" = None
    outcome: Outcome | None = None
    bid: Bid | None = None
    blames_buyer: bool = True


class FanOut:
    """Sends the pings and waits until all have answered, time is up, or no one still out could win.

    One future per ping, one timer for the next timeout, one wait for all: no task of its own.
    """

    def __init__(
        self,
        orders: Sequence[PingOrder],
        gateway: BuyerGateway,
        clock: Clock,
        judge: Judge,
        close_at_bid: Decimal | None,
        weights: Weights | None = None,
    ) -> None:
        self.invited = [Invited(order, _ceiling(order, weights)) for order in orders]
        self._gateway = gateway
        self._clock = clock
        self._judge = judge
        self._close_at_bid = close_at_bid
        self._weights = weights
        self._loop = asyncio.get_running_loop()
        self._out = len(self.invited)
        self._unbounded_out = sum([each.ceiling is None for each in self.invited])
        self._by_ceiling = sorted(
            [(each.ceiling, each) for each in self.invited if each.ceiling is not None],
            key=itemgetter(0),
        )
        self._leader: Decimal | None = None
        self._highest_bid: Decimal | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0
        self._by_timeout = sorted(
            self.invited, key=lambda each: each.order.timeout_ms, reverse=True
        )

    async def run(self) -> list[Invited]:
        """Every invited offer with exactly one outcome."""
        self._started = self._clock.monotonic()
        try:
            for invited in self.invited:
                self._send(invited)
            self._arm()
            if self._out:
                await self._closed
        finally:
            self._abandon_rest()
        return self.invited

    def _send(self, invited: Invited) -> None:
        future = self._gateway.ping(invited.order)
        invited.future = future
        future.add_done_callback(partial(self._answered, invited))

    def _answered(self, invited: Invited, future: "asyncio.Future[PingReply]") -> None:
        if invited.outcome is not None or future.cancelled():
            return
        try:
            self._settle(invited, future.result())
        except Exception:  # one buyer's surprise must not touch another buyer's bid
            logger.exception("A ping's answer could not be judged", extra={"action": "ping_judged"})
            invited.blames_buyer = False
            self._end(invited, Reason.ERROR, "internal error")
        self._close_if_over()

    def _settle(self, invited: Invited, reply: PingReply) -> None:
        if isinstance(reply, Quote):
            self._judge_quote(invited, reply)
        elif isinstance(reply, NoBid):
            self._end(invited, Reason.NO_BID, reply.detail)
        else:
            invited.blames_buyer = reply.blames_buyer
            self._end(invited, reply.reason, reply.detail)

    def _judge_quote(self, invited: Invited, quote: Quote) -> None:
        verdict = self._judge(quote, invited.order)
        if isinstance(verdict, RefusedBid):
            outcome = self._end(invited, verdict.reason, verdict.detail)
            outcome.bid = verdict.amount
        else:
            outcome = self._end(invited, Reason.OUTBID, None)
            outcome.bid = verdict.amount
            invited.bid = verdict
            self._lead(verdict)
        outcome.quote = quote

    def _lead(self, bid: Bid) -> None:
        reached = score(bid.amount, bid.offer, self._weights)
        if self._leader is None or reached > self._leader:
            self._leader = reached
        if self._highest_bid is None or bid.amount > self._highest_bid:
            self._highest_bid = bid.amount

    def _end(self, invited: Invited, reason: Reason, detail: str | None) -> Outcome:
        elapsed_ms = (self._clock.monotonic() - self._started) * 1000
        asked = not Reason.NOT_ASKED <= reason < Reason.BID_REFUSED
        ms = elapsed_ms if asked else None
        invited.outcome = Outcome(invited.order.offer.id, reason, detail, ms=ms)
        self._out -= 1
        self._unbounded_out -= invited.ceiling is None
        return invited.outcome

    def _close_if_over(self) -> None:
        if not self._closed.done() and (self._out == 0 or self._decided_early()):
            self._closed.set_result(None)

    def _decided_early(self) -> bool:
        if self._leader is None or (self._unbounded_out and self._close_at_bid is None):
            return False
        highest = None if self._unbounded_out else self._highest_out()
        return early_close(self._leader, self._close_at_bid, (highest,), self._highest_bid)

    def _highest_out(self) -> Decimal:
        """The highest score that anybody who is still out can reach; all of them are bounded."""
        while self._by_ceiling[-1][1].outcome is not None:
            self._by_ceiling.pop()
        return self._by_ceiling[-1][0]

    def _arm(self) -> None:
        while self._by_timeout and self._by_timeout[-1].outcome is not None:
            self._by_timeout.pop()
        if self._by_timeout and not self._closed.done():
            due = self._started + self._by_timeout[-1].order.timeout_ms / 1000
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = self._loop.call_later(delay, self._time_out)

    def _time_out(self) -> None:
        passed_ms = (self._clock.monotonic() - self._started) * 1000 + _TIMER_SLACK_MS
        while self._by_timeout and self._by_timeout[-1].order.timeout_ms <= passed_ms:
            invited = self._by_timeout.pop()
            if invited.outcome is None:
                # When we look late, the answer may have been there in time.
                invited.blames_buyer = _is_in_time(passed_ms, invited.order.timeout_ms)
                self._give_up(invited, Reason.TIMEOUT)
        self._close_if_over()
        self._arm()

    def _abandon_rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for invited in self.invited:
            if invited.outcome is None:
                self._give_up(invited, Reason.NOT_AWAITED)

    def _give_up(self, invited: Invited, reason: Reason) -> None:
        self._end(invited, reason, None)
        if invited.future is not None:
            invited.future.cancel(reason.outcome)


_TIMER_SLACK_MS = 1.0
"""Event loop timers fire up to their clock's resolution, a millisecond, early."""

_LATE_MS, _LATE_SHARE = 20, 0.1
"""A timeout that we notice later than this and this share of its time is not the buyer's fault."""


def _is_in_time(passed_ms: float, timeout_ms: int) -> bool:
    return passed_ms <= timeout_ms * (1 + _LATE_SHARE) + _LATE_MS


def _ceiling(order: PingOrder, weights: Weights | None) -> Decimal | None:
    terms = order.offer.ping_post
    highest = None if terms is None else terms.ceiling
    return None if highest is None else score(highest, order.offer.id, weights)
