"""Where calls come in: one decision per call_id, however often and wherever it is asked for."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from auction.domain.call import Call
from auction.domain.decision import (
    AlreadyDecided,
    BeingDecided,
    Opened,
    Opening,
    OpenResult,
    OtherContent,
)
from auction.domain.ids import CallId, CampaignId
from auction.domain.terms import Campaign, Catalogue
from auction.engine.auction import Auction, Ports, answer_within_ms
from auction.ports import CatalogueSource, StorageUnavailableError

logger = logging.getLogger(__name__)

DECIDER_SLACK_MS = 500
"""How long past its deadline a decider keeps its claim before a retry may take the call over."""

FIRST_POLL_MS, LONGEST_POLL_MS = 10, 100
"""How often a waiting retry asks whether another process has decided."""


@dataclass(frozen=True, slots=True)
class _Decision:
    """What the ledger holds; ``late``: it waits for a retry to fetch it from there."""

    answer: bytes | OtherContent
    late: bool = False


_Flight = asyncio.Task[_Decision]
_Key = tuple[CallId, bytes]


class Reception:
    """Joins repeats to the decision under way, bounds the wait, and lets a late decision finish."""

    def __init__(self, catalogue: CatalogueSource, ports: Ports) -> None:
        self._catalogue = catalogue
        self._ports = ports
        self._in_flight: dict[_Key, _Flight] = {}

    async def decide(self, call: Call, fingerprint: bytes) -> bytes | OtherContent:
        """The answer's bytes, the same for every repeat.

        Raises StorageUnavailableError when no durable answer can be given within the switch's
        time; the decision goes on and waits for the retry.
        """
        until = self._ports.clock.monotonic() + self._answer_within_ms(call) / 1000
        while True:
            flight = self._in_flight.get((call.call_id, fingerprint))
            if flight is None:
                flight = self._start(call, fingerprint)
            decision = await self._wait(flight, until)
            if not decision.late:
                return decision.answer

    @property
    def in_flight(self) -> int:
        """How many calls are being decided here."""
        return len(self._in_flight)

    async def drain(self) -> None:
        """Wait until every decision under way is stored or has failed."""
        while self._in_flight:
            await asyncio.wait(list(self._in_flight.values()))

    def _start(self, call: Call, fingerprint: bytes) -> _Flight:
        started = self._ports.clock.monotonic()
        flight = asyncio.get_running_loop().create_task(self._decide(call, fingerprint, started))
        key = (call.call_id, fingerprint)
        self._in_flight[key] = flight
        flight.add_done_callback(partial(self._landed, key))
        return flight

    def _landed(self, key: _Key, flight: _Flight) -> None:
        del self._in_flight[key]
        if flight.cancelled():
            return
        error = flight.exception()
        if error is not None and not isinstance(error, StorageUnavailableError):
            logger.error("A decision failed", exc_info=error, extra={"action": "decide"})

    async def _wait(self, flight: _Flight, until: float) -> _Decision:
        left_s = max(0.0, until - self._ports.clock.monotonic())
        done, _ = await asyncio.wait([flight], timeout=left_s)
        if not done:
            raise StorageUnavailableError("no durable answer in time")
        return flight.result()

    def _answer_within_ms(self, call: Call) -> float:
        return answer_within_ms(call, find_campaign(self._catalogue.current().catalogue, call))

    async def _decide(self, call: Call, fingerprint: bytes, started: float) -> _Decision:
        snapshot = self._catalogue.current()
        campaign = find_campaign(snapshot.catalogue, call)
        auction = Auction(call, snapshot, campaign, started, self._ports)
        opening = Opening(
            call=call,
            fingerprint=fingerprint,
            decide_within_ms=int(max(0.0, auction.decision_ms)) + DECIDER_SLACK_MS,
            revision=snapshot.catalogue.revision,
            campaign=None if campaign is None else campaign.id,
        )
        while True:
            opened = await self._open(opening, call, started)
            if isinstance(opened, OtherContent):
                return _Decision(opened)
            if isinstance(opened, AlreadyDecided):
                return _Decision(opened.answer)
            answer = await auction.decide(opened)
            if isinstance(answer, bytes):
                return _Decision(answer, auction.late)

    async def _open(
        self, opening: Opening, call: Call, started: float
    ) -> Opened | AlreadyDecided | OtherContent:
        pause_ms = FIRST_POLL_MS
        while True:
            result: OpenResult = await self._ports.ledger.open(opening)
            if not isinstance(result, BeingDecided):
                return result
            waited_ms = (self._ports.clock.monotonic() - started) * 1000
            if waited_ms >= self._answer_within_ms(call):
                raise StorageUnavailableError("another process is still deciding this call")
            await asyncio.sleep(min(max(result.wait_ms, 1), pause_ms) / 1000)
            pause_ms = min(pause_ms * 2, LONGEST_POLL_MS)


def find_campaign(catalogue: Catalogue, call: Call) -> Campaign | None:
    """The campaign that the call names, else the one of the number it dialled."""
    name: CampaignId | None = call.campaign
    if name is None and call.dialed_number is not None:
        name = catalogue.campaign_by_number.get(call.dialed_number)
    return None if name is None else catalogue.campaigns.get(name)
