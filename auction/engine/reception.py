"""Where calls come in: one decision per call_id, however often and wherever it is asked for."""

import asyncio

from auction.domain.call import Call
from auction.domain.ids import CallId, CampaignId
from auction.domain.numbers import joined
from auction.domain.opening import (
    AlreadyDecided,
    BeingDecided,
    Opened,
    Opening,
    OpenResult,
    OtherContent,
)
from auction.domain.overload import LoadLevel
from auction.domain.terms import Campaign, Catalogue
from auction.domain.value import value
from auction.engine.answered import RecentAnswers
from auction.engine.auction import Auction
from auction.engine.conclusion import LEAST_WAIT_MS, answer_within_ms
from auction.engine.flights import Flights
from auction.engine.world import Ports
from auction.ports import CatalogueSource, OverloadedError, StorageUnavailableError

DECIDER_SLACK_MS = 500
"""How long past its deadline a decider keeps its claim before a retry may take the call over."""

FIRST_POLL_MS, LONGEST_POLL_MS = 10, 100
"""How often a waiting retry asks whether another process has decided."""


@value(frozen=True, slots=True)
class _Decision:
    """What the ledger holds; ``late``: it waits for a retry to fetch it from there."""

    answer: bytes | OtherContent
    late: bool = False


class Reception:
    """Joins repeats to the decision under way, bounds the wait, and lets a late decision finish."""

    def __init__(self, catalogue: CatalogueSource, ports: Ports) -> None:
        self._catalogue = catalogue
        self._ports = ports
        self._flights: Flights[tuple[CallId, bytes], _Decision] = Flights(ports.clock)
        self._answered = RecentAnswers()

    async def decide(self, call: Call, fingerprint: bytes) -> bytes | OtherContent:
        """The answer's bytes, the same for every repeat.

        Raises StorageUnavailableError when no durable answer can be given within the switch's
        time; the decision goes on and waits for the retry. Raises OverloadedError when none may be
        begun.
        """
        within_ms = self._answer_within_ms(call)
        until = self._ports.clock.monotonic() + max(within_ms, LEAST_WAIT_MS) / 1000
        key = (call.call_id, fingerprint)
        waited = False
        while True:
            flight = self._flights.find(key)
            if flight is None:
                level = self._ports.load.level()
                if level is LoadLevel.REFUSE and not waited:
                    return self._answered_before(call, fingerprint)
                started = self._ports.clock.monotonic()
                work = self._decide(call, fingerprint, started, level)
                flight = self._flights.start(key, work)
            decision = await self._flights.wait(flight, until)
            waited = True
            if not decision.late or within_ms < LEAST_WAIT_MS:
                return decision.answer

    @property
    def in_flight(self) -> int:
        """How many calls are being decided here."""
        return len(self._flights)

    async def drain(self) -> None:
        """Wait until every decision under way is stored or has failed."""
        await self._flights.drain()

    def _answer_within_ms(self, call: Call) -> float:
        return answer_within_ms(call, find_campaign(self._catalogue.current().catalogue, call))

    def _answered_before(self, call: Call, fingerprint: bytes) -> bytes:
        """A retry costs nothing where its answer is at hand; nothing else is looked at."""
        answer = self._answered.find(call.call_id, fingerprint)
        if answer is None:
            self._ports.recorder.overloaded(LoadLevel.REFUSE)
            raise OverloadedError("too many calls are being decided")
        return answer

    async def _decide(
        self, call: Call, fingerprint: bytes, started: float, level: LoadLevel
    ) -> _Decision:
        snapshot = self._catalogue.current()
        call = as_dialled(snapshot.catalogue, call)
        campaign = find_campaign(snapshot.catalogue, call)
        auction = Auction(call, snapshot, campaign, started, self._ports, level=level)
        opening = Opening(
            call=call,
            fingerprint=fingerprint,
            decide_within_ms=int(max(0.0, auction.decision_ms)) + DECIDER_SLACK_MS,
            revision=snapshot.catalogue.revision,
            campaign=None if campaign is None else campaign.id,
            pool=snapshot.catalogue.pool_of(call),
        )
        while True:
            opened = await self._open(opening, call, started)
            if isinstance(opened, OtherContent):
                return _Decision(opened)
            if isinstance(opened, AlreadyDecided):
                return _Decision(opened.answer)
            answer = await auction.decide(opened)
            if isinstance(answer, bytes):
                if auction.binds:
                    self._answered.keep(call.call_id, fingerprint, answer)
                return _Decision(answer, auction.late)
            if answer.answer is not None:
                # It may be late: only a switch that still waits may fetch it.
                return _Decision(answer.answer, late=True)

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


def as_dialled(catalogue: Catalogue, call: Call) -> Call:
    """The call with what the terms of its dialled number say of it."""
    number = catalogue.number_of(call)
    return call if number is None else joined(call, number.source, number.tags)


def find_campaign(catalogue: Catalogue, call: Call) -> Campaign | None:
    """The campaign that the call names, else the one of the number it dialled."""
    name: CampaignId | None = call.campaign
    if name is None and call.dialed_number is not None:
        name = catalogue.campaign_by_number.get(call.dialed_number)
    return None if name is None else catalogue.campaigns.get(name)
