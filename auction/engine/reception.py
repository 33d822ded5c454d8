"""Where calls come in: one decision per call_id, however often and wherever it is asked for."""

import asyncio
import logging
from dataclasses import dataclass

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

POLL_MS = 20
"""How often a waiting retry asks whether another process has decided."""


@dataclass(slots=True)
class _InFlight:
    fingerprint: bytes
    decision: "asyncio.Task[bytes | OtherContent]"


class Reception:
    """Joins repeats to the decision under way, bounds the wait, and lets a late decision finish."""

    def __init__(self, catalogue: CatalogueSource, ports: Ports) -> None:
        self._catalogue = catalogue
        self._ports = ports
        self._in_flight: dict[CallId, _InFlight] = {}

    async def decide(self, call: Call, fingerprint: bytes) -> bytes | OtherContent:
        """The answer's bytes, the same for every repeat.

        Raises StorageUnavailableError when no durable answer can be given within the switch's
        time; the decision goes on and waits for the retry.
        """
        flight = self._in_flight.get(call.call_id)
        if flight is None:
            flight = self._start(call, fingerprint)
        elif flight.fingerprint != fingerprint:
            return OtherContent()
        return await self._wait(flight.decision, call)

    @property
    def in_flight(self) -> int:
        """How many calls are being decided here."""
        return len(self._in_flight)

    async def drain(self) -> None:
        """Wait until every decision under way is stored or has failed."""
        while self._in_flight:
            decisions = [flight.decision for flight in self._in_flight.values()]
            await asyncio.wait(decisions)

    def _start(self, call: Call, fingerprint: bytes) -> _InFlight:
        started = self._ports.clock.monotonic()
        task = asyncio.get_running_loop().create_task(self._decide(call, fingerprint, started))
        flight = _InFlight(fingerprint, task)
        self._in_flight[call.call_id] = flight
        task.add_done_callback(lambda done: self._landed(call.call_id, done))
        return flight

    def _landed(self, call_id: CallId, decision: "asyncio.Task[bytes | OtherContent]") -> None:
        del self._in_flight[call_id]
        if decision.cancelled():
            return
        error = decision.exception()
        if error is not None and not isinstance(error, StorageUnavailableError):
            logger.error("A decision failed", exc_info=error, extra={"action": "decide"})

    async def _wait(
        self, decision: "asyncio.Task[bytes | OtherContent]", call: Call
    ) -> bytes | OtherContent:
        wait_ms = self._answer_within_ms(call)
        done, _ = await asyncio.wait([decision], timeout=wait_ms / 1000)
        if not done:
            raise StorageUnavailableError("no durable answer in time")
        return decision.result()

    def _answer_within_ms(self, call: Call) -> float:
        return answer_within_ms(call, find_campaign(self._catalogue.current().catalogue, call))

    async def _decide(self, call: Call, fingerprint: bytes, started: float) -> bytes | OtherContent:
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
                return opened
            if isinstance(opened, AlreadyDecided):
                return opened.answer
            answer = await auction.decide(opened)
            if isinstance(answer, bytes):
                return answer
            if answer.answer is not None:
                return answer.answer

    async def _open(
        self, opening: Opening, call: Call, started: float
    ) -> Opened | AlreadyDecided | OtherContent:
        while True:
            result: OpenResult = await self._ports.ledger.open(opening)
            if not isinstance(result, BeingDecided):
                return result
            waited_ms = (self._ports.clock.monotonic() - started) * 1000
            if waited_ms >= self._answer_within_ms(call):
                raise StorageUnavailableError("another process is still deciding this call")
            await asyncio.sleep(min(max(result.wait_ms, 1), POLL_MS) / 1000)


def find_campaign(catalogue: Catalogue, call: Call) -> Campaign | None:
    """The campaign that the call names, else the one of the number it dialled."""
    name: CampaignId | None = call.campaign
    if name is None and call.dialed_number is not None:
        name = catalogue.campaign_by_number.get(call.dialed_number)
    return None if name is None else catalogue.campaigns.get(name)
