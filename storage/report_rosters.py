"""Calls by the roster that they were decided with: counted, stored, and read for reports."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

import asyncpg

from auction.domain.report_figures import FigureClass
from auction.domain.report_question import QUARTER, By, Question, floor_to
from auction.domain.report_rosters import (
    CallGroup,
    OfferCalls,
    OfferGroup,
    RosterCalls,
    RosterChange,
)
from auction.domain.terms import BuyerType
from storage.arrays import text_columns
from storage.database import Connection
from storage.queries import query
from storage.report_rows import Grain

_ROSTERS_OF: Final = query("rosters_of")
_ADD: Final = query("add_rosters")
_SUM: Final = query("sum_rosters")
_CHANGES: Final = query("roster_changes")

MOST_KNOWN: Final = 50_000

InForce: TypeAlias = tuple[str, int]
"""A campaign in a revision of the marketplace."""


Scope: TypeAlias = tuple[datetime, str, str, bool]
"""A minute, a campaign, a source, and whether the call is a test."""


class RosterKey(NamedTuple):
    """What no two rows of ``report_rosters`` share; ``source`` is empty as it is in figures."""

    grain: str
    bucket: datetime
    campaign: str
    source: str
    figure_class: str
    roster: int


class Rosters:
    """Which roster a campaign had in a revision; it never changes, so that it is asked for once."""

    def __init__(self) -> None:
        self._known: dict[InForce, int] = {}

    async def learn(self, connection: Connection, decided: Iterable[tuple[Scope, int]]) -> None:
        """Look up what is not known yet of these calls. Raises StorageUnavailableError."""
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        wanted = {(campaign, revision) for (_, campaign, _, _), revision in decided}
        unknown = wanted - self._known.keys()
        if not unknown:
            return
        campaigns, revisions = zip(*unknown, strict=True)
        for row in await connection.fetch(_ROSTERS_OF, campaigns, revisions):
            self._known[row["campaign"], row["revision"]] = row["roster"]

    def rows(
        self, decided: Mapping[tuple[Scope, int], int], days: Mapping[datetime, datetime]
    ) -> Mapping[RosterKey, int]:
        """Calls by what rows they belong to, given those by revision, whose rosters are known.

        ``days``: when those began that have these quarters of an hour in them.
        """
        rows: Counter[RosterKey] = Counter()
        for ((at, campaign, source, test), revision), count in decided.items():
            kind = FigureClass.of(BuyerType.BUYER, test=test).value
            place = (floor_to(at, QUARTER), campaign, source, kind)
            key = RosterKey(_SOURCE_QUARTERS, *place, self._known[campaign, revision])
            for each in _grains(key, days.get(key.bucket)):
                rows[each] += count
        return rows


def _grains(key: RosterKey, day: datetime | None) -> Iterator[RosterKey]:
    yield key
    yield key._replace(grain=Grain.QUARTER.value, source="")
    if day is not None:
        yield key._replace(grain=Grain.SOURCE_DAY.value, bucket=day)
        yield key._replace(grain=Grain.DAY.value, bucket=day, source="")


async def add_rosters(connection: Connection, rows: Mapping[RosterKey, int]) -> None:
    """Add counts to those that are stored, in the order in which rows are locked."""
    written = [(*key, rows[key]) for key in sorted(rows)]
    if written:
        await connection.execute(_ADD, *text_columns(written, len(written[0]), 0))


async def read_offer_calls(
    connection: Connection, question: Question, names: Sequence[str]
) -> OfferCalls:
    """How many calls the offers of a question were there for; ``names``: those that rows are of.

    To be read in the transaction that reads the figures, or they may differ by a fold.
    """
    by_source = question.by is By.SOURCE or question.source is not None
    over = (question.since, question.until, question.edges)
    rows = await connection.fetch(_SUM, *over, question.campaign, question.source, by_source)
    calls = _calls(rows, named=question.by is By.SOURCE)
    campaigns = sorted({group.campaign for group in calls})
    only = (question.offer, question.buyer)
    changes = await connection.fetch(_CHANGES, campaigns, "", None, *only)
    if question.by in {By.OFFER, By.BUYER}:
        by = question.by.value
        changes += await connection.fetch(_CHANGES, campaigns, by, names, *only)
    return OfferCalls(calls, map(_change, changes))


def _calls(rows: Iterable[asyncpg.Record], *, named: bool) -> Mapping[CallGroup, RosterCalls]:
    """``named``: each source on its own."""
    calls: defaultdict[CallGroup, RosterCalls] = defaultdict(RosterCalls)
    for row in rows:
        test = row["class"] == FigureClass.TEST.value
        source = row["source"] if named else ""
        group = calls[CallGroup(row["place"] - 1, row["campaign"], source, test)]
        if row["roster"] is None:
            group.calls += row["calls"]
        else:
            group.by_roster[row["roster"]] = row["calls"]
    return calls


def _change(row: asyncpg.Record) -> RosterChange:
    group = OfferGroup(row["campaign"], row["name"], FigureClass(row["class"]))
    return RosterChange(group, row["revision"], row["change"], row["buyer"])


_SOURCE_QUARTERS: Final = Grain.SOURCE_QUARTER.value
