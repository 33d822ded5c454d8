"""What became of the calls of offers and sources lately, from the roll-ups."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import asyncpg

from auction.domain.estimates import WINDOW, Results, SourceResults
from auction.domain.ids import CampaignId, OfferId, SourceId
from storage.database import Database
from storage.queries import query
from storage.report_figures import READ_S

_OFFER_RESULTS: Final = query("offer_results")
_SOURCE_RESULTS: Final = query("source_results")
_HAVE_ROOM: Final = query("have_room")

AGES: Final = (WINDOW, *(timedelta(days=days) for days in (22, 15, 10, 6, 3, 1)))
"""Where the buckets begin, before now: what is older needs less exact an age."""


class OfferHistory:
    """Reads the results that estimates are made of; each counts at the middle of its bucket.

    Rows are made results by what is returned, which may run aside of the event loop.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_offers(
        self, campaigns: Collection[CampaignId], now: datetime
    ) -> partial[Sequence[Results]]:
        """The results of every offer of these campaigns. Raises StorageUnavailableError."""
        edges = [now - age for age in AGES]
        rows = await self._fetch(_OFFER_RESULTS, edges[0], edges, sorted(campaigns))
        return partial(_offers, rows, _middles(edges, now))

    async def of_sources(self, now: datetime) -> partial[Sequence[SourceResults]]:
        """The results of every source. Raises StorageUnavailableError."""
        edges = [now - age for age in AGES]
        rows = await self._fetch(_SOURCE_RESULTS, edges[0], edges)
        return partial(_sources, rows, _middles(edges, now))

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        async with (
            self._database.connection() as connection,
            connection.transaction(readonly=True),
        ):
            await connection.execute(_HAVE_ROOM)
            rows: list[asyncpg.Record] = await connection.fetch(statement, *values, timeout=READ_S)
        return rows


def _middles(edges: Sequence[datetime], now: datetime) -> Sequence[datetime]:
    ends = [*edges[1:], now]
    return [begin + (end - begin) / 2 for begin, end in zip(edges, ends, strict=True)]


def _offers(rows: Sequence[asyncpg.Record], at: Sequence[datetime]) -> Sequence[Results]:
    return [
        Results(
            CampaignId(row["campaign"]),
            OfferId(row["offer"]),
            at[row["place"] - 1],
            row["accepted"],
            row["refused"],
            row["routed"],
            row["answered"],
            row["converted"],
        )
        for row in rows
    ]


def _sources(rows: Sequence[asyncpg.Record], at: Sequence[datetime]) -> Sequence[SourceResults]:
    return [
        SourceResults(
            SourceId(row["source"]), at[row["place"] - 1], row["answered"], row["converted"]
        )
        for row in rows
    ]
