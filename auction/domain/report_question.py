"""Which figures are asked for, over which time, and what is answered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from auction.domain.report_figures import FigureClass, Figures
from auction.domain.terms import Period
from auction.domain.windows import resets_at

QUARTER: Final = timedelta(minutes=15)
"""How fine figures by source are in time: the offset of every zone is a multiple of it."""

MOST_SETS: Final = 100_000


class By(Enum):
    """What there is one set of figures for."""

    CAMPAIGN = "campaign"
    OFFER = "offer"
    BUYER = "buyer"
    SOURCE = "source"


class Bucket(Enum):
    """What a period is cut into."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


_PERIODS: Final = {
    Bucket.HOUR: Period.HOUR,
    Bucket.DAY: Period.DAY,
    Bucket.MONTH: Period.MONTH,
    Bucket.TOTAL: Period.TOTAL,
}


class Place(NamedTuple):
    """A bucket of time by its number from 0 on, and the id of what is asked about."""

    bucket: int
    name: str


@dataclass(frozen=True, slots=True)
class Summed:
    """Figures of one kind; ``campaign`` and ``buyer`` are those of an offer."""

    place: Place
    figure_class: FigureClass
    figures: Figures
    campaign: str
    buyer: str


@dataclass(frozen=True, slots=True)
class Question:
    """Which figures. ``edges`` are where the buckets begin, from ``since`` on, before ``until``.

    ``by`` None: one set for all. ``minutes``: from figures by the minute, which know no sources,
    and are kept for some days only. ``detailed``: with what is counted by reason and by size.
    ``most``: how many sets are answered.
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
    most: int = MOST_SETS

    def over(self, since: datetime, until: datetime, edges: Sequence[datetime]) -> "Question":
        """The same about another time."""
        return replace(self, since=since, until=until, edges=edges)


def widened(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """The whole quarters of an hour that a period touches."""
    return floor_to(since, QUARTER), until + (floor_to(until, QUARTER) - until) % QUARTER


def floor_to(at: datetime, width: timedelta) -> datetime:
    """When the minute or quarter of an hour of a moment began: in UTC as in any zone."""
    return at - (at - _EPOCH) % width


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def bucket_edges(
    since: datetime, until: datetime, bucket: Bucket, zone: ZoneInfo, most: int
) -> list[datetime] | None:
    """Where the buckets of a period begin by the clocks of a zone; None when there are too many.

    The first begins with the period and the last ends with it, wherever they began and end.
    """
    edges = [since]
    for _ in range(most):
        following = resets_at(_PERIODS[bucket], edges[-1], zone)
        if following is None or following >= until:
            return edges
        edges.append(following)
    return None


def period_before(since: datetime, until: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The period of the same length that ends where this one begins.

    Whole calendar months of the zone are preceded by as many months, what begins and ends at one
    time of day by as many days, whatever the clocks did meanwhile.
    """
    first, last = since.astimezone(zone), until.astimezone(zone)
    months = (last.year - first.year) * 12 + last.month - first.month
    if months and _opens_month(first) and _opens_month(last):
        place = first.year * 12 + first.month - 1 - months
        before = first.replace(year=place // 12, month=place % 12 + 1, fold=0)
    elif first.time() == last.time():
        days = last.replace(tzinfo=None) - first.replace(tzinfo=None)
        before = (first.replace(tzinfo=None) - days).replace(tzinfo=zone)
    else:
        before = since - (until - since)
    return floor_to(before.astimezone(UTC), QUARTER), since


def _opens_month(at: datetime) -> bool:
    return at.day == 1 and at.time() == datetime.min.time()
