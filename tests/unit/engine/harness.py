"""The engine between a scripted gateway and the ledger in memory, on virtual time."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from auction.domain.bidding import PingReply, PostAccepted, PostReply, PostUnknown, Quote
from auction.domain.call import Call
from auction.domain.ids import CampaignId, OfferId
from auction.domain.next_attempt import FailReason, NextRequest
from auction.domain.notices import Notice
from auction.domain.opening import OtherContent
from auction.domain.overload import LoadLevel
from auction.domain.plan import RoutedBy
from auction.domain.reasons import Reason
from auction.domain.terms import Catalogue, OfferTerms
from auction.engine.reception import Reception
from auction.engine.rerouting import Refused, Rerouter
from auction.engine.world import Ports
from auction.ports import (
    AtEase,
    Forecasts,
    Ledger,
    Load,
    NothingKnown,
    PingOrder,
    PostOrder,
    Snapshot,
)
from buyers.guards import Guards
from storage.memory import MemoryLedger
from tests.builders import NOON, a_campaign, a_catalogue


@dataclass(slots=True)
class VirtualClock:
    """Wall clock and monotonic clock on the loop's virtual time."""

    start: datetime = NOON

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(slots=True)
class CountingIds:
    """Identifiers in order, so that tests can name them."""

    given: int = 0

    def token(self) -> str:
        self.given += 1
        return f"{self.given:032x}"


@dataclass(slots=True)
class Answering:
    """What one buyer does: this reply after so many milliseconds; None: it never answers."""

    reply: PingReply | None = field(default_factory=lambda: Quote(amount="52.00"))
    after_ms: float = 20
    post: PostReply | None = field(default_factory=PostAccepted)
    post_after_ms: float = 20


@dataclass(slots=True)
class ScriptedGateway:
    """Buyers by offer; those not named bid 52.00 after 20 ms and accept."""

    script: Mapping[str, Answering] = field(default_factory=dict)
    pings: list[PingOrder] = field(default_factory=list)
    posts: list[PostOrder] = field(default_factory=list)
    abandoned: list[OfferId] = field(default_factory=list)

    def ping(self, order: PingOrder) -> asyncio.Future[PingReply]:
        self.pings.append(order)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[PingReply] = loop.create_future()
        future.add_done_callback(lambda done: self._note(order, done))
        answering = self._of(order.offer)
        if answering.reply is not None:
            loop.call_later(answering.after_ms / 1000, self._answer, future, answering.reply)
        return future

    async def post(self, order: PostOrder) -> PostReply:
        self.posts.append(order)
        answering = self._of(order.offer)
        if answering.post is None or answering.post_after_ms > order.timeout_ms:
            await asyncio.sleep(order.timeout_ms / 1000)
            return PostUnknown("no answer in time")
        await asyncio.sleep(answering.post_after_ms / 1000)
        return answering.post

    def _of(self, offer: OfferTerms) -> Answering:
        return self.script.get(offer.id) or Answering()

    def _note(self, order: PingOrder, done: "asyncio.Future[PingReply]") -> None:
        if done.cancelled():
            self.abandoned.append(order.offer.id)

    @staticmethod
    def _answer(future: "asyncio.Future[PingReply]", reply: PingReply) -> None:
        if not future.done():
            future.set_result(reply)


@dataclass(slots=True)
class CountingRecorder:
    """What the engine reported to metrics."""

    pings: list[tuple[str, str]] = field(default_factory=list)
    bids: list[tuple[str, Decimal]] = field(default_factory=list)
    posts: list[tuple[str, str]] = field(default_factory=list)
    tests: list[tuple[str | None, RoutedBy | None]] = field(default_factory=list)
    decisions: list[tuple[str | None, RoutedBy | None]] = field(default_factory=list)
    routes: list[tuple[str, RoutedBy]] = field(default_factory=list)
    reroutes: list[tuple[str | None, RoutedBy | None]] = field(default_factory=list)
    shadows: list[tuple[str, str]] = field(default_factory=list)
    overloads: list[LoadLevel] = field(default_factory=list)

    def pinged(self, offer: OfferId, outcome: str, seconds: float | None) -> None:
        self.pings.append((offer, outcome))

    def shadowed(self, offer: OfferId, reason: Reason) -> None:
        self.shadows.append((offer, reason.outcome))

    def overloaded(self, level: LoadLevel) -> None:
        self.overloads.append(level)

    def bid(self, offer: OfferId, amount: Decimal) -> None:
        self.bids.append((offer, amount))

    def posted(self, offer: OfferId, outcome: str, seconds: float) -> None:
        self.posts.append((offer, outcome))

    def routed(self, offer: OfferId, routed_by: RoutedBy) -> None:
        self.routes.append((offer, routed_by))

    def tested(self, campaign: CampaignId | None, routed_by: RoutedBy | None) -> None:
        self.tests.append((campaign, routed_by))

    def rerouted(self, campaign: CampaignId | None, routed_by: RoutedBy | None) -> None:
        self.reroutes.append((campaign, routed_by))

    def decided(
        self,
        campaign: CampaignId | None,
        routed_by: RoutedBy | None,
        seconds: float,
        overhead_seconds: float,
    ) -> None:
        assert 0 <= overhead_seconds <= seconds
        self.decisions.append((campaign, routed_by))


@dataclass(slots=True)
class HeardNotices:
    """Bidders that ask for notices, and what they were told."""

    wanted_by: set[OfferId] = field(default_factory=set)
    told: list[Notice] = field(default_factory=list)

    def tell(self, notices: Iterable[Notice]) -> None:
        self.told.extend(notices)


@dataclass(slots=True)
class Marketplace:
    """An engine over offers and scripted buyers."""

    catalogue: Catalogue
    gateway: ScriptedGateway
    clock: VirtualClock = field(default_factory=VirtualClock)
    recorder: CountingRecorder = field(default_factory=CountingRecorder)
    ledger: MemoryLedger = field(init=False)
    ports: Ports = field(init=False)
    notices: HeardNotices = field(default_factory=HeardNotices)
    guards: Guards = field(init=False)
    load: Load = field(default_factory=AtEase)
    forecasts: Forecasts = field(default_factory=NothingKnown)
    reception: Reception = field(init=False)
    rerouter: Rerouter = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.clock.now)
        self.guards = Guards()
        self.use(self.ledger)

    def use(self, ledger: Ledger) -> None:
        """Put another ledger under a fresh engine, as after a restart."""
        ids = CountingIds()
        self.ports = Ports(
            ledger, self.ledger, self.clock, ids, self.recorder, self.load, self.forecasts
        )
        self.reception = Reception(self, self.ports)
        self.rerouter = Rerouter(self, self.ports, self.ledger)

    def current(self) -> Snapshot:
        guards = self.guards.of(self.catalogue)
        return Snapshot(self.catalogue, self.gateway, self.notices, guards)

    async def decide(self, call: Call, fingerprint: bytes = b"same") -> dict[str, Any]:
        """The answer to a call, read."""
        answer = await self.reception.decide(call, fingerprint)
        assert not isinstance(answer, OtherContent)
        decision: dict[str, Any] = orjson.loads(answer)
        return decision

    async def ask_next(
        self,
        call: Call,
        attempt: int = 1,
        reason: FailReason = FailReason.BUSY,
        *,
        timeout_ms: int | None = 2000,
        fingerprint: bytes = b"failed",
    ) -> bytes | Refused:
        """What follows a failed attempt, as it is sent."""
        request = NextRequest(call.call_id, attempt, reason, fingerprint, 0)
        return await self.rerouter.decide(request, timeout_ms)

    async def reroute(
        self, call: Call, attempt: int = 1, *, timeout_ms: int | None = 2000
    ) -> dict[str, Any]:
        """The answer after a failed attempt, read."""
        answer = await self.ask_next(call, attempt, timeout_ms=timeout_ms)
        assert isinstance(answer, bytes)
        decision: dict[str, Any] = orjson.loads(answer)
        return decision

    def trace(self, call: Call) -> dict[str, dict[str, Any]]:
        """The stored trace, by offer."""
        stored = orjson.loads(self.ledger.traces[call.call_id])
        return {entry["offer"]: entry for entry in stored["offers"]}

    def next_trace(self, call: Call) -> dict[str, dict[str, Any]]:
        """The stored trace of the last attempt, by offer."""
        traces = self.ledger._calls[call.call_id].later_traces
        stored = orjson.loads(traces[max(traces)])
        return {entry["offer"]: entry for entry in stored["offers"]}

    def next_outcomes(self, call: Call) -> dict[str, str]:
        """The stored outcome of each offer in the last attempt."""
        return {offer: entry["outcome"] for offer, entry in self.next_trace(call).items()}

    def outcomes(self, call: Call) -> dict[str, str]:
        """The stored outcome of each offer."""
        return {offer: entry["outcome"] for offer, entry in self.trace(call).items()}


def a_marketplace(
    *offers: OfferTerms,
    script: Mapping[str, Answering] | None = None,
    campaign: Mapping[str, Any] | None = None,
    load: Load | None = None,
    forecasts: Forecasts | None = None,
) -> Marketplace:
    """One campaign with these offers."""
    catalogue = a_catalogue(a_campaign(*offers, **(campaign or {})))
    gateway = ScriptedGateway(script or {})
    known = forecasts or NothingKnown()
    return Marketplace(catalogue, gateway, load=load or AtEase(), forecasts=known)


def pinged(marketplace: Marketplace) -> Sequence[str]:
    """The offers that were asked, in order."""
    return [order.offer.id for order in marketplace.gateway.pings]
