"""What history lets us expect, worked out beside calls every so many seconds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol, TypeVar

from auction.domain.estimates import Results, SourceResults, estimate, standings
from auction.domain.ids import CampaignId, SourceId
from auction.domain.scoring import OddsBook
from auction.domain.terms import Catalogue, RankBy
from auction.ports import Clock, StorageUnavailableError

Value = TypeVar("Value")

logger = logging.getLogger(__name__)

REFRESH_S: Final = 15.0
LOOK_S: Final = 1.0
"""How soon a campaign that begins to rank or score by history gets it."""


class History(Protocol):
    """Where results come from; both raise StorageUnavailableError.

    What they return makes the results, and may be called in another thread.
    """

    async def of_offers(
        self, campaigns: Collection[CampaignId], now: datetime
    ) -> Callable[[], Sequence[Results]]:
        """What became of the calls of these campaigns' offers."""

    async def of_sources(self, now: datetime) -> Callable[[], Sequence[SourceResults]]:
        """What became of the calls of sources."""


class Aside(Protocol):
    """Runs work that takes a while where calls don't wait for it."""

    def __call__(self, work: Callable[[], Value], /) -> Awaitable[Value]:
        """What the work returns."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which histories the marketplace in force makes anything of: odds in these campaigns."""

    odds: frozenset[CampaignId] = frozenset()
    standings: bool = False

    @classmethod
    def by(cls, catalogue: Catalogue | None) -> "Wanted":
        """What a marketplace asks for, nothing before the first."""
        campaigns = () if catalogue is None else tuple(catalogue.campaigns.values())
        return cls(
            frozenset(
                each.id for each in campaigns if each.auction.rank_by is RankBy.EXPECTED_REVENUE
            ),
            any(each.quality is not None and each.quality.source_points for each in campaigns),
        )


@dataclass(slots=True)
class HistoryForecasts:
    """See ``auction.ports.Forecasts``. What nobody wants is not read and not kept."""

    history: History
    clock: Clock
    terms: Callable[[], Catalogue | None]
    aside: Aside = asyncio.to_thread
    _odds: OddsBook | None = None
    _standings: Mapping[SourceId, Decimal] = field(default_factory=dict)
    _seen: Wanted = field(default_factory=Wanted)
    _read_at: float | None = None

    def odds(self) -> OddsBook | None:
        """The newest odds."""
        return self._odds

    def standing(self, source: SourceId) -> Decimal | None:
        """The newest standing of a source."""
        return self._standings.get(source)

    async def run(self) -> None:
        """Look and refresh until cancelled; while the database is away the last ones stand."""
        while True:
            try:
                await self.look()
            except StorageUnavailableError as error:
                logger.warning("No history read: %s", error, extra={"action": "forecasts"})
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Read anew what is due. Raises StorageUnavailableError."""
        wanted, now = Wanted.by(self.terms()), self.clock.monotonic()
        due = self._read_at is None or now - self._read_at >= REFRESH_S
        if not due and wanted == self._seen:
            return
        self._seen, self._read_at = wanted, now
        at = self.clock.now()
        self._odds = await self._estimate(wanted.odds, at) if wanted.odds else None
        self._standings = await self._compare(at) if wanted.standings else {}

    async def _estimate(self, campaigns: Collection[CampaignId], at: datetime) -> OddsBook:
        read = await self.history.of_offers(campaigns, at)
        return await self.aside(lambda: estimate(read(), at))

    async def _compare(self, at: datetime) -> Mapping[SourceId, Decimal]:
        read = await self.history.of_sources(at)
        return await self.aside(lambda: standings(read(), at))
