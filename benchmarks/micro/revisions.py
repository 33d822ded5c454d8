"""A change of a large marketplace until it is in force, on a real PostgreSQL."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

from auction.marketplaces import Marketplaces
from benchmarks.micro.timing import Case, Stopwatch
from benchmarks.stack import running_database
from benchmarks.stack.marketplace import CAMPAIGN, MarketplaceOptions, make_marketplace
from buyers.native_transport import NativeTransport
from buyers.notices import NoticeBoard
from buyers.outbound import OutboundRule
from config.sealing import seal
from config.secret_box import SecretBox
from metrics.registry import Metrics
from storage.catalogue import About, save
from storage.catalogue_items import MAIN, CatalogueItem, Document, split
from storage.database import Database
from storage.managing import change
from storage.migrate import migrate
from storage.vault import CallerVault

OFFERS: Final = 20_000
VALUES: Final = 20
"""Each offer's first filter names so many texts, all others than those of any other offer."""

_BOX: Final = SecretBox(b"k" * 32)
_BUYERS: Final = 10
_ONE: Final = "other-7"
_ZONES: Final = ("America/New_York", "America/Denver")


@asynccontextmanager
async def revision_cases(folder: Path) -> AsyncIterator[list[Case]]:
    """One offer or the campaign changed, of 20,000 offers with 400,000 texts."""
    async with running_database(folder) as server:
        await migrate(server.dsn)
        database = await Database.connect(server.dsn, min_size=2, max_size=4)
        try:
            yield await revision_cases_on(database, OFFERS)
        finally:
            await database.close()


async def revision_cases_on(database: Database, offers: int) -> list[Case]:
    """The same in a database that has the schema, with so many offers."""
    await save(database, split(seal(a_large_marketplace(offers), _BOX, None)), origin="file")
    transport = NativeTransport(OutboundRule(()))
    market = _Market(
        database,
        Marketplaces(
            *(database, _BOX, transport, NoticeBoard(transport), os.environ),
            CallerVault(_BOX, b"identity"),
            Metrics().preload,
        ),
    )
    await market.marketplaces.take_up(1)
    return [
        market.case("weight", "offer", _ONE, lambda n, _: {"weight": n % 100 + 1}),
        market.case("pause", "offer", _ONE, lambda n, _: {"enabled": bool(n % 2)}),
        market.case("filter", "offer", _ONE, _other_filter),
        market.case("private_fields", "campaign", CAMPAIGN, _private_field),
        market.case("all_offers", "marketplace", MAIN, _time_zone),
    ]


def a_large_marketplace(offers: int) -> dict[str, Any]:
    """Of all its offers ten are eligible for the call of a run."""
    ports = tuple(range(9000, 9000 + _BUYERS))
    market = make_marketplace(MarketplaceOptions(ports=ports, offers=offers))
    others = (offer for buyer in market["buyers"][_BUYERS:] for offer in buyer["offers"])
    for number, offer in enumerate(others):
        texts = [f"{10_000_000 + number * VALUES + each}" for each in range(VALUES)]
        offer["filters"][0] = {"field": "zip_code", "op": "in", "value": texts}
    return market


def _other_filter(number: int, document: Document) -> Mapping[str, object]:
    _, *rest = _listed(document["filters"])
    texts = [f"{number}-{each}" for each in range(VALUES)]
    return {"filters": [{"field": "zip_code", "op": "in", "value": texts}, *rest]}


def _private_field(number: int, _: Document) -> Mapping[str, object]:
    return {"private_fields": ["first_name", "last_name", "email", f"field_{number}"]}


def _time_zone(number: int, _: Document) -> Mapping[str, object]:
    """Every offer is made anew, as for a file that changes every one."""
    return {"time_zone": _ZONES[number % len(_ZONES)]}


def _listed(value: object) -> list[object]:
    assert isinstance(value, list), "documents are JSON"
    return value


Edit = Callable[[int, Document], Mapping[str, object]]
"""What the change of this number sets in a document."""


@dataclass(frozen=True, slots=True)
class _Market:
    database: Database
    marketplaces: Marketplaces

    def case(self, name: str, kind: str, identifier: str, edit: Edit) -> Case:
        """How long a change that is committed takes to be in force here."""
        numbers = count(1)

        async def measure(loops: int, stopwatch: Stopwatch) -> None:
            for _ in range(loops):
                revision = await self._change(kind, identifier, edit, next(numbers))
                with stopwatch.running():
                    await self.marketplaces.take_up(revision)

        title = f"{name} of one {kind}, all offers with {VALUES} texts each"
        return Case(f"revision.{name}", title, measure)

    async def _change(self, kind: str, identifier: str, edit: Edit, number: int) -> int:
        async with change(self.database) as under_way:
            held = await under_way.item(kind, identifier)
            assert held is not None, "the marketplace has it"
            item: CatalogueItem = held.item
            document = {**item.document, **edit(number, item.document)}
            return await under_way.save(
                [item.key], [replace(item, document=document)], About("api")
            )
