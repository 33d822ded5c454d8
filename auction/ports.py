"""What the engine needs from the world, as narrow protocols; the rooms below it provide them."""

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping
from dataclasses import InitVar, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from auction.domain.bidding import PingReply, PostReply
from auction.domain.breaker import PingWeight
from auction.domain.call import Call
from auction.domain.finishing import Finish, FinishResult
from auction.domain.ids import CallId, CampaignId, OfferId, OwnerId, PingId, SourceId
from auction.domain.next_attempt import NextRequest, NextResult
from auction.domain.notices import Notice
from auction.domain.offer_index import OfferIndex, index_offers
from auction.domain.opening import Opening, OpenResult
from auction.domain.overload import LoadLevel
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.reasons import Reason
from auction.domain.reserving import ReserveRequest, ReserveResult
from auction.domain.scoring import OddsBook
from auction.domain.terms import Campaign, Catalogue, OfferTerms
from auction.domain.usage import Usage
from auction.domain.value import value


class StorageUnavailableError(Exception):
    """The database can't be reached or did not answer in time; the caller may retry."""


class InvariantViolatedError(Exception):
    """Something that can't happen has happened; never caught and smoothed over."""


class OverloadedError(Exception):
    """There is too much to do here; nothing was begun, and the caller may retry."""


class ListReplacedError(Exception):
    """Another content took a list's place meanwhile; what was not stored yet is not."""


class Clock(Protocol):
    """Time, as the engine sees it."""

    def now(self) -> datetime:
        """The wall clock in UTC, with a time zone."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""


class Ids(Protocol):
    """Randomness for identifiers."""

    def token(self) -> str:
        """A fresh random identifier of 32 hexadecimal characters."""


@value(frozen=True, slots=True)
class PingOrder:
    """One bid request. ``timeout_ms`` is what is really left for this buyer."""

    call: Call
    campaign: Campaign
    offer: OfferTerms
    ping_id: PingId
    timeout_ms: int


@value(frozen=True, slots=True)
class PostOrder:
    """One call handed to a buyer. ``timeout_ms`` bounds each try, ``within_ms`` all together."""

    call: Call
    campaign: Campaign
    offer: OfferTerms
    candidate: Candidate
    timeout_ms: int
    within_ms: int


class BuyerGateway(Protocol):
    """Everything that talks to buyers, compiled for one revision of the catalogue."""

    def ping(self, order: PingOrder) -> asyncio.Future[PingReply]:
        """Send one bid request.

        Never raises; the future's result is the reply. Cancelling the future abandons the request
        and closes its connection. The engine bounds the time, not the gateway; its message on
        cancelling is the outcome's name.
        """

    def post(self, order: PostOrder) -> Awaitable[PostReply]:
        """Hand the call over, retrying as the contract allows inside ``within_ms``.

        Never raises.
        """


class BidderNotices(Protocol):
    """Tells bidders whether they won or lost."""

    @property
    def wanted_by(self) -> Collection[OfferId]:
        """The offers that ask for it."""

    def tell(self, notices: Iterable[Notice]) -> None:
        """Send what was asked for, soon after the answer. Never raises and never waits."""


class Silence:
    """Nobody asks for notices."""

    wanted_by: Collection[OfferId] = ()

    def tell(self, notices: Iterable[Notice]) -> None:
        """Nothing is sent."""


@value(frozen=True, slots=True)
class HeldBack:
    """A ping that is not sent, and why."""

    reason: Reason
    detail: str


@value(frozen=True, slots=True)
class Admitted:
    """A ping that may be sent. ``shadow``: what only counts would have held it back.

    ``epoch`` is the guard's own.
    """

    epoch: int = 0
    shadow: HeldBack | None = None


class PingGuard(Protocol):
    """Keeps one offer from being pinged too often or in vain. ``now`` is monotonic."""

    def ask(self, now: float) -> Admitted | HeldBack:
        """Whether one ping may be sent now."""

    def pinged(self, admitted: Admitted, weight: PingWeight, now: float) -> None:
        """How a ping that was admitted has ended; told once."""

    def posted(self, *, refused: bool, now: float) -> None:
        """Whether a post was refused by the buyer, or taken; told once."""


@value(frozen=True, slots=True)
class Snapshot:
    """A revision of the catalogue with its gateway; a call keeps the one it began with.

    ``guards`` are those of the offers that have any. ``indexes`` find the offers of each campaign;
    only what decides calls needs them. They take over what they can of the ``known`` ones.
    """

    catalogue: Catalogue
    gateway: BuyerGateway
    notices: BidderNotices = field(default_factory=Silence)
    guards: Mapping[OfferId, PingGuard] = field(default_factory=dict)
    indexes: Mapping[CampaignId, OfferIndex] = field(init=False, repr=False, compare=False)
    known: InitVar[Mapping[CampaignId, OfferIndex] | None] = None

    def __post_init__(self, known: Mapping[CampaignId, OfferIndex] | None) -> None:
        object.__setattr__(self, "indexes", index_offers(self.catalogue, known))

    def indexed(self, known: Mapping[CampaignId, OfferIndex]) -> "Snapshot":
        """The same with other indexes, which take over what they can of these."""
        return Snapshot(self.catalogue, self.gateway, self.notices, self.guards, known)


class CatalogueSource(Protocol):
    """Where the current snapshot comes from."""

    def current(self) -> Snapshot:
        """The newest snapshot loaded. Raises StorageUnavailableError before the first."""


class LedgerStep(StrEnum):
    """What a batch for the database is made of: steps of decisions, or a switch's reports."""

    OPEN = "open"
    RESERVE = "reserve"
    FINISH = "finish"
    NEXT = "next"
    REPORT = "report"


class Ledger(Protocol):
    """The steps of a decision; each raises StorageUnavailableError when the database is away."""

    async def open(self, opening: Opening) -> OpenResult:
        """Claim a call for deciding, or tell what is known of it."""

    async def reserve(self, request: ReserveRequest) -> ReserveResult:
        """Durably store the plan and hold the first candidate that fits."""

    async def finish(self, finish: Finish) -> FinishResult:
        """Durably store the decision, if the call is still ours."""


class NextLedger(Ledger, Protocol):
    """The steps of a decision after an attempt has failed: ``open_next``, then as for the first."""

    async def open_next(self, request: NextRequest) -> NextResult:
        """Give back what the failed attempt holds, once, and claim its call for deciding again.

        Raises StorageUnavailableError.
        """

    async def refuse_next(self, call_id: CallId, attempt: int, answer: bytes) -> bytes:
        """Store the answer to a request after ``attempt`` that changes nothing of the call.

        Returns the answer stored first. Raises StorageUnavailableError.
        """


class UsageView(Protocol):
    """Cap usage as seen a moment ago (250 ms at most); the ledger decides."""

    def refresh(self, owners: Iterable[OwnerId]) -> Awaitable[None]:
        """Bring readings that are too old up to date; cheap when there are none."""

    def read(self) -> Mapping[OwnerId, Usage]:
        """The readings; an owner that is absent has used nothing."""


class Load(Protocol):
    """How much this process has to do."""

    def level(self) -> LoadLevel:
        """What may be begun now; asked once per call."""


class AtEase:
    """There is never too much to do."""

    def level(self) -> LoadLevel:
        """Everything may be begun."""
        return LoadLevel.NORMAL


class Forecasts(Protocol):
    """What history lets us expect, worked out aside from calls."""

    def odds(self) -> OddsBook | None:
        """How likely bids become revenue, None where nothing is known; asked once per call."""

    def standing(self, source: SourceId) -> Decimal | None:
        """How a source's calls convert beside all others': -1 never, 0 as often, 1 twice or more.

        None where nothing is known.
        """


class NothingKnown:
    """No history, so bids count for their amounts and sources for nothing."""

    def odds(self) -> OddsBook | None:
        """There are none."""
        return None

    def standing(self, source: SourceId) -> Decimal | None:
        """There is none."""
        del source
        return None


class Recorder(Protocol):
    """Metrics of the decision path; each call costs a microsecond or two."""

    def pinged(self, offer: OfferId, outcome: str, seconds: float | None) -> None:
        """An invited offer's outcome (a reason's name, or ``bid``), its time where it answered."""

    def shadowed(self, offer: OfferId, reason: Reason) -> None:
        """One ping that was sent, and would not have been but for shadow mode."""

    def overloaded(self, level: LoadLevel) -> None:
        """One call that was decided without its auction, or refused, because of the load."""

    def bid(self, offer: OfferId, amount: Decimal) -> None:
        """One valid bid."""

    def posted(self, offer: OfferId, outcome: str, seconds: float) -> None:
        """One post: ``accepted``, ``rejected``, ``unknown`` or ``error``."""

    def routed(self, offer: OfferId, routed_by: RoutedBy) -> None:
        """One call was routed to an offer, by a first decision or a further one; no test call."""

    def tested(self, campaign: CampaignId | None, routed_by: RoutedBy | None) -> None:
        """One decision on a test call: None for no route."""

    def rerouted(self, campaign: CampaignId | None, routed_by: RoutedBy | None) -> None:
        """One decision after an attempt had failed: None for no route."""

    def decided(
        self,
        campaign: CampaignId | None,
        routed_by: RoutedBy | None,
        seconds: float,
        overhead_seconds: float,
    ) -> None:
        """One decision: None for no route."""
