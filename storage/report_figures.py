"""The figures of calls over some time, as alerts, rankings and reports read them."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, Protocol

from auction.domain.report_figures import FigureClass, Figures
from auction.domain.report_question import (
    QUARTER,
    By,
    Place,
    Question,
    Summed,
    floor_to,
)
from auction.domain.report_rosters import Reported
from storage.database import Connection
from storage.queries import query
from storage.report_rosters import read_offer_calls
from storage.report_rows import class_of, read_figures

_SUM = query("sum_figures")
_HAVE_ROOM = query("have_room")

MINUTES_KEPT: Final = timedelta(hours=48)
"""How long there are figures by the minute."""

BY_THE_MINUTE: Final = timedelta(hours=6)
"""Up to this span sums are exact to the minute, beyond it to the quarter of an hour."""

_MINUTE: Final = timedelta(minutes=1)


READ_S: Final = 30.0
"""How long one reading may take."""


class Connections(Protocol):
    """Where figures are read: a database, or the turns of those who read it."""

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for one reading. Raises StorageUnavailableError."""


@asynccontextmanager
async def adding_up(connections: Connections) -> AsyncIterator[Connection]:
    """A connection for statements that add up many rows. Raises StorageUnavailableError."""
    async with (
        connections.connection() as connection,
        # What several statements read is of one moment.
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(_HAVE_ROOM)
        yield connection


class FigureReader:
    """Reads figures in turn with others who use these connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def report(
        self, question: Question, before: Question | None = None
    ) -> tuple[Reported, Reported | None]:
        """The figures that are asked for, and those of the time before where it is compared.

        What has no figures is absent, but for a single offer that is asked for: it is there in
        every bucket in which its campaign had calls. Raises StorageUnavailableError.
        """
        async with adding_up(self._connections) as connection:
            now = await _sum(connection, question)
            earlier = () if before is None else await _sum(connection, before)
            names = {each.place.name for each in (*now, *earlier)} | {question.offer or ""}
            told = await _reported(connection, question, now, names)
            if before is None:
                return told, None
            return told, await _reported(connection, before, earlier, names)


async def ask(connections: Connections, question: Question) -> tuple[Summed, ...]:
    """The figures that are asked for; what has none is absent. Raises StorageUnavailableError."""
    async with adding_up(connections) as connection:
        return await _sum(connection, question)


async def _reported(
    connection: Connection, question: Question, summed: Sequence[Summed], names: Collection[str]
) -> Reported:
    calls = await read_offer_calls(connection, question, sorted(names))
    if question.by is not By.OFFER or question.offer is None:
        return Reported(summed, calls)
    known = {(each.place, each.figure_class) for each in summed}
    others = calls.rows_of(question.offer, len(question.edges))
    rest = [each for each in others if (each.place, each.figure_class) not in known]
    return Reported((*summed, *rest), calls)


async def _sum(connection: Connection, question: Question) -> tuple[Summed, ...]:
    rows = await connection.fetch(_SUM, *_values(question), timeout=READ_S)
    return tuple(
        Summed(
            Place(row["place"] - 1, row["name"]),
            class_of(row),
            read_figures(row),
            row["campaign"],
            row["buyer"],
        )
        for row in rows
    )


async def figures(
    connections: Connections,
    since: datetime,
    until: datetime,
    by: By,
    *,
    detailed: bool = False,
) -> Mapping[str, Figures]:
    """What was sold or offered for sale, by id; test calls and unbilled buyers are left out.

    Over whole minutes, within the last days; spans of more than some hours over whole quarters of
    an hour: both ends are rounded down. Calls count at their arrival, about two seconds after
    something happened to them. ``detailed`` also fills ``reasons``, ``bid_sizes`` and
    ``ping_times``. Raises StorageUnavailableError.
    """
    minutes = until - since <= BY_THE_MINUTE and by is not By.SOURCE
    width = _MINUTE if minutes else QUARTER
    first, last = floor_to(since, width), floor_to(until, width)
    question = Question(first, last, [first], by, minutes=minutes, detailed=detailed)
    summed = await ask(connections, question)
    return {
        each.place.name: each.figures
        for each in summed
        if each.figure_class is FigureClass.SOLD and each.place.name
    }


def _values(question: Question) -> Sequence[object]:
    return (
        question.since,
        question.until,
        question.edges,
        "" if question.by is None else question.by.value,
        question.campaign,
        question.offer,
        question.buyer,
        question.source,
        question.minutes,
        question.detailed,
        question.most,
        question.by is By.SOURCE or question.source is not None,
    )
