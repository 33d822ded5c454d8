"""The figures of calls over some time, as alerts, rankings and reports read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple

from auction.domain.report_figures import FigureClass, Figures
from storage.database import Database
from storage.queries import query
from storage.report_rows import class_of, floor_to, read_figures

_SUM = query("sum_figures")

MINUTES_KEPT: Final = timedelta(hours=48)
"""How long there are figures by the minute."""

BY_THE_MINUTE: Final = timedelta(hours=6)
"""Up to this span sums are exact to the minute, beyond it to the quarter of an hour."""

_MINUTE: Final = timedelta(minutes=1)
_QUARTER: Final = timedelta(minutes=15)
_MOST: Final = 100_000


class By(Enum):
    """What there is one set of figures for."""

    CAMPAIGN = "campaign"
    OFFER = "offer"
    BUYER = "buyer"
    SOURCE = "source"


class Place(NamedTuple):
    """A bucket of time by its number from 0 on, and the id of what is asked about."""

    bucket: int
    name: str


@dataclass(frozen=True, slots=True)
class Summed:
    """Figures of one kind, with the campaign and the buyer of an offer."""

    place: Place
    figure_class: FigureClass
    figures: Figures
    campaign: str
    buyer: str


@dataclass(frozen=True, slots=True)
class Question:
    """Which figures. ``edges`` are where the buckets begin, from ``since`` on, before ``until``.

    ``minutes``: from figures by the minute, which know no sources, and are kept for some days only.
    ``detailed``: with what is counted by reason and by size. At most ``most`` sets are answered.
    """

    since: datetime
    until: datetime
    edges: Sequence[datetime]
    by: By | None
    campaign: str | None = None
    offer: str | None = None
    buyer: str | None = None
    source: str | None = None
    minutes: bool = False
    detailed: bool = True
    most: int = _MOST


async def ask(database: Database, question: Question) -> tuple[Summed, ...]:
    """The figures that are asked for; what has none is absent. Raises StorageUnavailableError."""
    async with database.connection() as connection:
        rows = await connection.fetch(_SUM, *_values(question))
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
    database: Database,
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
    width = _MINUTE if minutes else _QUARTER
    first, last = floor_to(since, width), floor_to(until, width)
    question = Question(first, last, [first], by, minutes=minutes, detailed=detailed)
    summed = await ask(database, question)
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
    )
