"""Figures as many calls leave them behind."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from storage.database import Database
from storage.report_upkeep import ReportUpkeep

PINGS_PER_CALL: Final = 10
ZONE: Final = ZoneInfo("America/New_York")

_QUARTERS_A_DAY: Final = 96
_BINS: Final = 24
"""In how many bins an offer's bids and the times of its pings lie in a quarter of an hour."""

_FILL: Final = """
    with offer as (
        select
            number,
            (
                select array_agg((800 + number % 40 + bin)::bigint << 40 | $6::bigint)
                from generate_series(0, 23) as bin
            ) as spread
        from generate_series(1, $3::integer) as number
    )
    insert into report_quarters
    select
        'quarter', at, 'campaign-' || offer.number % 5, 'offer-' || offer.number,
        'buyer-' || offer.number / 2, 'source-' || source, 'buyer',
        0, 0, $5, $5, $5 / 2, $5 / 4, $5 / 8, $5 / 16, $5 / 16, 0, 0, $5 / 10, 0, $5 / 10, 0, 0, 0,
        $5 / 20, $5 / 20, $5 / 40, $5 * 25.5, $5, $5 / 2.0, $5 * 80000,
        array[0::bigint << 40 | $5 / 4, 101::bigint << 40 | $5 / 8, 305::bigint << 40 | $5 / 2],
        offer.spread, offer.spread
    from generate_series($1::timestamptz, $2::timestamptz - interval '1 minute', '15 minutes') as at
    cross join offer
    cross join generate_series(1, $4::integer) as source
"""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is to report."""

    calls: int
    days: int
    offers: int
    sources: int

    @property
    def rows(self) -> int:
        """Quarters of an hour in which an offer had calls of a source."""
        return self.days * _QUARTERS_A_DAY * self.offers * self.sources

    @property
    def pings_per_row(self) -> int:
        """So that all rows together come to the calls' pings."""
        return max(1, round(self.calls * PINGS_PER_CALL / self.rows))


def last_midnight() -> datetime:
    """When the last day in the marketplace's zone began that is over for more than an hour."""
    now = datetime.now(ZONE) - timedelta(hours=2)
    return now.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


async def fill_day(database: Database, extent: Extent, day: int) -> None:
    """The figures of the day so many days before today's first midnight; -1 is today."""
    first = last_midnight() - timedelta(days=day + 1)
    pings = extent.pings_per_row
    values = (first, first + timedelta(days=1), extent.offers, extent.sources, pings)
    async with database.connection() as connection:
        await connection.execute(_FILL, *values, max(1, pings // _BINS), timeout=600)


async def add_up_days(database: Database) -> int:
    """Add up the days that are over, as the service does; how many those were."""
    upkeep, days = ReportUpkeep(database, lambda: ZONE), 0
    while await upkeep.add_up(datetime.now(UTC)):
        days += 1
    async with database.connection() as connection:
        await connection.execute("vacuum analyze report_figures", timeout=600)
    return days
