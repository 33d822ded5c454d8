"""Forecasts worked out beside calls."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import pytest

from auction.domain.estimates import Results, SourceResults
from auction.domain.ids import CampaignId, SourceId
from auction.domain.quality import QualityTerms
from auction.domain.terms import AuctionTerms, Catalogue, RankBy
from auction.forecasting import REFRESH_S, HistoryForecasts
from auction.ports import StorageUnavailableError
from tests.builders import CAMPAIGN, NOON, a_campaign, a_catalogue, an_offer
from tests.unit.engine.harness import VirtualClock
from tests.virtual_time import run_virtually

Value = TypeVar("Value")
SOURCE = SourceId("pub-17")


@dataclass(slots=True)
class Remembered:
    """A history that counts who reads it."""

    offers: int = 0
    sources: int = 0
    away: bool = False
    results: list[Results] = field(default_factory=list)

    async def of_offers(
        self, campaigns: Collection[CampaignId], now: datetime
    ) -> Callable[[], Sequence[Results]]:
        assert now >= NOON
        assert campaigns == {CAMPAIGN}
        if self.away:
            raise StorageUnavailableError("away")
        self.offers += 1
        return lambda: self.results

    async def of_sources(self, now: datetime) -> Callable[[], Sequence[SourceResults]]:
        self.sources += 1
        return lambda: [SourceResults(SOURCE, now, 1000, 500)]


async def at_once(work: Callable[[], Value]) -> Value:
    return work()


PLAIN = a_catalogue()
BY_REVENUE = a_catalogue(
    a_campaign(an_offer(), auction=AuctionTerms(rank_by=RankBy.EXPECTED_REVENUE))
)
SCORED = a_catalogue(a_campaign(an_offer(), quality=QualityTerms(source_points=10)))


@dataclass(slots=True)
class Market:
    """The marketplace in force."""

    catalogue: Catalogue | None = None

    def terms(self) -> Catalogue | None:
        return self.catalogue


def test_nothing_is_read_while_nobody_wants_it() -> None:
    history = Remembered()

    async def scenario() -> None:
        for catalogue in (None, PLAIN, a_catalogue(a_campaign(quality=QualityTerms()))):
            forecasts = HistoryForecasts(history, VirtualClock(), Market(catalogue).terms, at_once)
            await forecasts.look()
            assert forecasts.odds() is None
            assert forecasts.standing(SOURCE) is None

    run_virtually(scenario())
    assert (history.offers, history.sources) == (0, 0)


def test_history_is_read_when_it_is_first_wanted_then_every_so_often_and_dropped_after() -> None:
    history, market = Remembered(), Market(PLAIN)
    offer = next(iter(PLAIN.offers.values()))
    history.results = [Results(CAMPAIGN, offer.id, NOON, accepted=1000)]
    forecasts = HistoryForecasts(history, VirtualClock(), market.terms, at_once)

    async def scenario() -> None:
        await forecasts.look()
        market.catalogue = BY_REVENUE
        await forecasts.look()
        book = forecasts.odds()
        assert book is not None
        assert book.of(offer).accepted > book.of(offer).answered
        await forecasts.look()
        assert (history.offers, history.sources) == (1, 0)
        await asyncio.sleep(REFRESH_S)
        await forecasts.look()
        assert history.offers == 2
        market.catalogue = SCORED
        await forecasts.look()
        assert (history.offers, history.sources) == (2, 1)
        assert forecasts.odds() is None
        assert forecasts.standing(SOURCE) == 0

    run_virtually(scenario())


def test_what_was_known_stands_while_the_database_is_away() -> None:
    history = Remembered()
    forecasts = HistoryForecasts(history, VirtualClock(), Market(BY_REVENUE).terms, at_once)

    async def scenario() -> None:
        task = asyncio.create_task(forecasts.run())
        await asyncio.sleep(1)
        known = forecasts.odds()
        assert known is not None
        history.away = True
        await asyncio.sleep(3 * REFRESH_S)
        assert forecasts.odds() is known
        history.away = False
        await asyncio.sleep(REFRESH_S)
        assert history.offers == 2
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(scenario())
