"""Where a call goes after an attempt failed: one decision per attempt, as for the first."""

import asyncio
from dataclasses import dataclass, replace

from auction.domain.call import Call
from auction.domain.ids import CallId, CampaignId
from auction.domain.next_attempt import (
    AlreadyConverted,
    NextRequest,
    NextResult,
    NoSuchAttempt,
    Rerouting,
    UnknownCall,
)
from auction.domain.opening import AlreadyDecided, BeingDecided, OtherContent
from auction.domain.reasons import NoRouteReason
from auction.domain.terms import AuctionTerms, Campaign
from auction.engine.auction import Auction
from auction.engine.conclusion import KEPT_FOR_THE_WAY, LEAST_WAIT_MS
from auction.engine.flights import Flights
from auction.engine.reception import DECIDER_SLACK_MS, FIRST_POLL_MS, LONGEST_POLL_MS
from auction.engine.reply import Reply
from auction.engine.world import Ports
from auction.ports import CatalogueSource, NextLedger, Snapshot, StorageUnavailableError

Refused = OtherContent | UnknownCall | NoSuchAttempt
"""Requests that get no decision."""


@dataclass(frozen=True, slots=True)
class _Decision:
    """What the ledger holds; ``late``: it waits for a retry to fetch it from there."""

    answer: bytes | Refused
    late: bool = False


class Rerouter:
    """Decides what follows a failed attempt; repeats join the decision under way."""

    def __init__(self, catalogue: CatalogueSource, ports: Ports, ledger: NextLedger) -> None:
        self._catalogue = catalogue
        self._ports = ports
        self._ledger = ledger
        self._flights: Flights[tuple[CallId, int, bytes], _Decision] = Flights(ports.clock)

    async def decide(self, request: NextRequest, timeout_ms: int | None) -> bytes | Refused:
        """The answer's bytes, the same for every repeat; ``timeout_ms``: how long it is waited for.

        Raises StorageUnavailableError when no durable answer can be given within the switch's
        time; the decision goes on and waits for the retry.
        """
        within_ms = self._answer_within_ms(timeout_ms)
        until = self._ports.clock.monotonic() + max(within_ms, LEAST_WAIT_MS) / 1000
        key = (request.call_id, request.attempt, request.fingerprint)
        while True:
            flight = self._flights.find(key)
            if flight is None:
                started = self._ports.clock.monotonic()
                flight = self._flights.start(key, self._decide(request, timeout_ms, started))
            decision = await self._flights.wait(flight, until)
            if not decision.late or within_ms < LEAST_WAIT_MS:
                return decision.answer

    @property
    def in_flight(self) -> int:
        """How many decisions are under way here."""
        return len(self._flights)

    async def drain(self) -> None:
        """Wait until every decision under way is stored or has failed."""
        await self._flights.drain()

    async def _decide(
        self, request: NextRequest, timeout_ms: int | None, started: float
    ) -> _Decision:
        allowed_ms = int(self._allowed_ms(timeout_ms)) + DECIDER_SLACK_MS
        request = replace(request, decide_within_ms=allowed_ms)
        while True:
            opened = await self._open(request, timeout_ms, started)
            if isinstance(opened, AlreadyDecided):
                return _Decision(opened.answer)
            if isinstance(opened, AlreadyConverted):
                return _Decision(await self._refuse(request, opened, started))
            if not isinstance(opened, Rerouting):
                return _Decision(opened)
            auction = self._auction(opened, timeout_ms, started)
            answer = await auction.decide_next(opened)
            if isinstance(answer, bytes):
                return _Decision(answer, auction.late)
            if answer.answer is not None:
                # It may be late: only a switch that still waits may fetch it.
                return _Decision(answer.answer, late=True)

    def _auction(self, again: Rerouting, timeout_ms: int | None, started: float) -> Auction:
        snapshot = self._catalogue.current()
        call = replace(again.call, timeout_ms=timeout_ms)
        campaign = _campaign(snapshot, again.campaign)
        # A caller is on the line who has been sent to nobody so far: never refused for the load.
        level = self._ports.load.level()
        return Auction(call, snapshot, campaign, started, self._ports, again.attempt, level)

    async def _refuse(
        self, request: NextRequest, converted: AlreadyConverted, started: float
    ) -> bytes:
        snapshot = self._catalogue.current()
        campaign = _campaign(snapshot, converted.campaign)
        reply = _no_further_attempt(converted.call, converted.attempt, campaign, snapshot)
        answer = reply.dump((self._ports.clock.monotonic() - started) * 1000)
        return await self._ledger.refuse_next(request.call_id, request.attempt, answer)

    async def _open(
        self, request: NextRequest, timeout_ms: int | None, started: float
    ) -> AlreadyConverted | AlreadyDecided | Rerouting | Refused:
        pause_ms = FIRST_POLL_MS
        while True:
            result: NextResult = await self._ledger.open_next(request)
            if not isinstance(result, BeingDecided):
                return result
            waited_ms = (self._ports.clock.monotonic() - started) * 1000
            if waited_ms >= self._answer_within_ms(timeout_ms):
                raise StorageUnavailableError("another process is still deciding this call")
            await asyncio.sleep(min(max(result.wait_ms, 1), pause_ms) / 1000)
            pause_ms = min(pause_ms * 2, LONGEST_POLL_MS)

    def _allowed_ms(self, timeout_ms: int | None) -> float:
        """How long the switch waits, else what the slowest campaign takes.

        Whose call it is shows only in the ledger.
        """
        if timeout_ms is not None:
            return timeout_ms
        return self._catalogue.current().catalogue.longest_budget_ms

    def _answer_within_ms(self, timeout_ms: int | None) -> float:
        allowed_ms = self._allowed_ms(timeout_ms)
        reserve_ms = AuctionTerms().reply_reserve_ms * KEPT_FOR_THE_WAY
        return max(allowed_ms - reserve_ms, allowed_ms / 2)


def _campaign(snapshot: Snapshot, campaign: CampaignId | None) -> Campaign | None:
    return None if campaign is None else snapshot.catalogue.campaigns.get(campaign)


def _no_further_attempt(
    call: Call, attempt: int, campaign: Campaign | None, snapshot: Snapshot
) -> Reply:
    return Reply(
        call=call,
        attempt=attempt,
        candidate=None,
        destination=None if campaign is None else campaign.no_route_destination,
        currency=snapshot.catalogue.currency,
        reason=NoRouteReason.ALREADY_CONVERTED,
    )
