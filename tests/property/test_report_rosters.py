"""However offers come, go and move: each row of a report accounts for every call of its offers."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auction.domain.report_figures import FigureClass
from auction.domain.report_measures import by_fixed_terms
from auction.domain.report_question import By, Place, Question
from auction.domain.terms import BuyerType
from storage.catalogue import save
from storage.catalogue_items import split
from storage.database import Database
from storage.migrate import load_migrations
from storage.report_figures import FigureReader
from storage.report_folding import ReportFolding
from storage.report_upkeep import ReportUpkeep
from tests.builders import NEW_YORK
from tests.report_steps import fold_all
from tests.whole_lives import empty_tables

CAMPAIGNS = ("auto", "home")
BUYERS = ("acme", "beacon")
OFFERS = ("one", "two", "three", "four")
SOURCES = ("pub-17", "pub-18", None)
DAWN = datetime(2026, 11, 20, 5, tzinfo=UTC)
TIMES = [DAWN + timedelta(minutes=minutes) for minutes in (1, 14, 16, 23 * 60, 25 * 60)]
CODES = (None, 0, 101, 305, 210, 212, 204, 206, 209, 221)

_CALL = """
    insert into calls (
        call_id, fingerprint, decide_by, received_at, revision, test, sealed, state, campaign,
        source
    )
    values ($1, '', now(), $2, $3, $4, '', 'routed', $5, $6)
"""
_TRACE = "insert into traces (call_id, received_at, attempt, trace) values ($1, $2, $3, $4)"
_DELTA = """
    insert into report_deltas (kind, call_id, attempt, received_at, campaign, source, test)
    select 'decision', call_id, $2, received_at, campaign, source, test from calls
    where call_id = $1
"""
_PLACES = """
    select campaign, offer, buyer, class, first_revision, last_revision from offer_places
    order by offer, first_revision
"""


@dataclass(frozen=True)
class Terms:
    """One offer in a revision."""

    campaign: str
    buyer: str
    enabled: bool = True


@dataclass(frozen=True)
class Revision:
    """Which offers there are, and what their buyers are."""

    offers: Mapping[str, Terms] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(BUYERS, "buyer"))

    def document(self) -> dict[str, Any]:
        buyers = [
            {"id": buyer, "type": self.types[buyer], "offers": list(self._offers(buyer))}
            for buyer in BUYERS
        ]
        campaigns = [{"id": each} for each in CAMPAIGNS]
        return {"currency": "USD", "campaigns": campaigns, "buyers": buyers}

    def _offers(self, buyer: str) -> Iterator[dict[str, Any]]:
        for name, terms in self.offers.items():
            if terms.buyer == buyer:
                yield {"id": name, "campaign": terms.campaign, "enabled": terms.enabled}

    def roster(self, campaign: str | None) -> list[str]:
        return [name for name, terms in self.offers.items() if terms.campaign == campaign]

    def kind(self, offer: str) -> FigureClass:
        return FigureClass.of(BuyerType(self.types[self.offers[offer].buyer]), test=False)


@dataclass(frozen=True)
class Decided:
    """A first decision; ``lines`` are the offers that its trace has."""

    name: str
    at: datetime
    revision: int
    campaign: str | None
    source: str | None
    test: bool
    lines: Mapping[str, int | None]

    def trace(self) -> bytes:
        lines = [a_line(offer, code) for offer, code in self.lines.items()]
        return orjson.dumps({"revision": self.revision, "offers": lines})


def a_line(offer: str, code: int | None) -> dict[str, Any]:
    pinged = code in {0, 101, 305}
    ms, bid, rank = (20.5, "52.00", 1) if pinged else (None, None, None)
    return {"offer": offer, "code": code, "detail": None, "bid": bid, "ms": ms, "rank": rank}


class Market:
    """A marketplace that is changed while calls come in, and its reports."""

    def __init__(self, database: Database, data: st.DataObject) -> None:
        self.database = database
        self.data = data
        self.revisions: list[Revision] = [Revision()]
        self.decided: dict[str, Decided] = {}

    async def begin(self) -> None:
        await empty_tables(self.database)
        await self._execute("truncate catalogue_items, catalogue_revisions cascade")
        await self.change(replace(self.revisions[-1], offers={"one": Terms("auto", "acme")}))

    async def step(self) -> None:
        steps = (self.an_offer_changes, self.a_buyer_changes, *[self.a_call_comes] * 4)
        more = (self.a_decision_is_replaced, self.a_later_attempt, self.some_is_folded)
        await self.data.draw(st.sampled_from((*steps, *more, self.a_day_is_added_up)))()

    async def change(self, wanted: Revision) -> None:
        items = split(wanted.document())
        revision = await save(self.database, items, origin="test")
        if revision == len(self.revisions):
            self.revisions.append(wanted)

    async def an_offer_changes(self) -> None:
        now = self.revisions[-1]
        some = self.data.draw(st.lists(st.sampled_from(OFFERS), min_size=1, unique=True))
        terms = st.none() | st.builds(
            Terms, st.sampled_from(CAMPAIGNS), st.sampled_from(BUYERS), st.booleans()
        )
        changed = {name: self.data.draw(terms) for name in some}
        offers = {
            name: each for name, each in {**now.offers, **changed}.items() if each is not None
        }
        await self.change(replace(now, offers=offers))

    async def a_buyer_changes(self) -> None:
        now = self.revisions[-1]
        kind = self.data.draw(st.sampled_from(["buyer", "quality_assurance"]))
        buyer = self.data.draw(st.sampled_from(BUYERS))
        await self.change(replace(now, types={**now.types, buyer: kind}))

    async def a_call_comes(self) -> None:
        draw = self.data.draw
        revision = draw(st.integers(1, len(self.revisions) - 1))
        campaign = draw(st.sampled_from((*CAMPAIGNS, None)))
        call = Decided(
            f"call-{len(self.decided)}",
            draw(st.sampled_from(TIMES)),
            revision,
            campaign,
            draw(st.sampled_from(SOURCES)),
            draw(st.integers(0, 5)) == 0,
            self.some_lines(revision, campaign),
        )
        self.decided[call.name] = call
        facts = (call.at, call.revision, call.test, call.campaign, call.source)
        await self._execute(_CALL, call.name, *facts)
        await self._execute(_TRACE, call.name, call.at, 1, call.trace())
        await self._execute(_DELTA, call.name, 1)

    def some_lines(self, revision: int, campaign: str | None) -> Mapping[str, int | None]:
        roster = self.revisions[revision].roster(campaign)
        looked_at = [name for name in roster if self.data.draw(st.booleans())]
        return {name: self.data.draw(st.sampled_from(CODES)) for name in looked_at}

    async def a_decision_is_replaced(self) -> None:
        """By the terms of another revision, at that."""
        if self.decided:
            if self.data.draw(st.booleans()):
                await fold_all(ReportFolding(self.database, 3))
            old = self.data.draw(st.sampled_from(sorted(self.decided.values(), key=_name)))
            revision = self.data.draw(st.integers(1, len(self.revisions) - 1))
            lines = self.some_lines(revision, old.campaign)
            new = self.decided[old.name] = replace(old, revision=revision, lines=lines)
            replaced = "update traces set trace = $2 where call_id = $1 and attempt = 1"
            await self._execute(replaced, old.name, new.trace())

    async def a_later_attempt(self) -> None:
        """It repeats reasons, of offers that no longer are there too."""
        if self.decided:
            call = self.data.draw(st.sampled_from(sorted(self.decided.values(), key=_name)))
            lines = [a_line("one", self.data.draw(st.sampled_from(CODES)) or 206)]
            trace = orjson.dumps({"revision": len(self.revisions) - 1, "offers": lines})
            await self._execute(f"{_TRACE} on conflict do nothing", call.name, call.at, 2, trace)
            await self._execute(_DELTA, call.name, 2)

    async def some_is_folded(self) -> None:
        await ReportFolding(self.database, self.data.draw(st.integers(1, 5))).fold()

    async def a_day_is_added_up(self) -> None:
        await ReportUpkeep(self.database, lambda: NEW_YORK).add_up(DAWN + timedelta(days=9))

    async def _execute(self, statement: str, *values: object) -> None:
        async with self.database.connection() as connection:
            await connection.execute(statement, *values)

    async def check(self) -> None:
        await fold_all(ReportFolding(self.database, 3))
        for by in By:
            await self.check_report(by)
        await self.check_places()

    async def check_report(self, by: By) -> None:
        draw = self.data.draw
        since, until = DAWN - timedelta(hours=1), DAWN + timedelta(days=2)
        cuts = draw(st.lists(st.sampled_from([DAWN, TIMES[2].replace(minute=15)]), unique=True))
        question = Question(
            since,
            until,
            [since, *sorted(cuts)],
            by,
            campaign=draw(st.none() | st.sampled_from(CAMPAIGNS)),
            offer=draw(st.none() | st.sampled_from(OFFERS)),
            buyer=draw(st.none() | st.sampled_from(BUYERS)),
            source=draw(st.none() | st.sampled_from(["pub-17", "pub-18"])),
        )
        told, _ = await FigureReader(self.database).report(question)
        calls, unlooked = self.counted(question)
        for row in told.summed:
            key = (row.figure_class, row.place)
            found = told.calls.of(by, *key)
            assert found == calls[key], key
            assert by_fixed_terms(row.figures, found) == unlooked[key], key
        sold = sum(count for (kind, _), count in calls.items() if kind is FigureClass.SOLD)
        assert told.calls.total() == sold
        if by is By.OFFER and question.offer is not None:
            assert calls.keys() <= {(row.figure_class, row.place) for row in told.summed}

    def counted(self, question: Question) -> tuple[Counter[Any], Counter[Any]]:
        """Calls times offers, and of those what no trace has, from every call on its own."""
        calls: Counter[Any] = Counter()
        unlooked: Counter[Any] = Counter()
        for call in self.decided.values():
            now = self.revisions[call.revision]
            for offer in now.roster(call.campaign):
                buyer = now.offers[offer].buyer
                facts = (call.campaign, offer, buyer, call.source)
                if _wanted(question, facts):
                    kind = FigureClass.TEST if call.test else now.kind(offer)
                    bucket = sum(edge <= call.at for edge in question.edges) - 1
                    key = kind, Place(bucket, _of(question.by, facts))
                    calls[key] += 1
                    unlooked[key] += offer not in call.lines
        return calls, unlooked

    async def check_places(self) -> None:
        """What triggers have written is what a database that had them not is upgraded to."""
        async with self.database.connection() as connection:
            written = await connection.fetch(_PLACES)
            await connection.execute("delete from offer_places")
            await connection.execute(backfill())
            assert await connection.fetch(_PLACES) == written


def backfill() -> str:
    """What the migration does with the marketplaces that are there."""
    (text,) = (each.text for each in load_migrations() if each.name.endswith("report_rosters"))
    return text[text.index("with item as (") :]


def _name(call: Decided) -> str:
    return call.name


def _of(by: By | None, facts: Sequence[str | None]) -> str:
    place = {By.CAMPAIGN: 0, By.OFFER: 1, By.BUYER: 2, By.SOURCE: 3}
    assert by is not None
    return facts[place[by]] or ""


def _wanted(question: Question, facts: Sequence[str | None]) -> bool:
    only = (question.campaign, question.offer, question.buyer, question.source)
    return all(asked in {None, fact} for asked, fact in zip(only, facts, strict=True))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    report_multiple_bugs=False,
)
@given(data=st.data(), steps=st.integers(1, 30))
def test_every_row_accounts_for_every_call_of_its_offers(
    dsn: str, data: st.DataObject, steps: int
) -> None:
    async def lives() -> None:
        database = await Database.connect(dsn, max_size=2)
        try:
            market = Market(database, data)
            await market.begin()
            for _ in range(steps):
                await market.step()
            await market.check()
        finally:
            await database.close()

    asyncio.run(lives())
