"""Figures as many calls leave them behind."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from storage.database import Database
from storage.report_rows import Grain
from storage.report_upkeep import SETTLED_AFTER, ReportUpkeep

PINGS_PER_CALL: Final = 10
ZONE: Final = ZoneInfo("America/New_York")

_QUARTERS_A_DAY: Final = 96
_BINS: Final = 24
"""In how many bins an offer's bids and the times of its pings lie in a quarter of an hour."""

_FILL: Final = """
    with size as (
        select $5::bigint as pings
    ),
    offer as (
        select
            number,
            (
                select array_agg((800 + number % 40 + bin)::bigint << 40 | $6::bigint)
                from generate_series(0, 23) as bin
            ) as spread
        from generate_series(1, $3::integer) as number
    )
    insert into report_figures
    select
        $7::text, at, 'campaign-' || offer.number % 5, 'offer-' || offer.number,
        'buyer-' || offer.number / 2, case when $4 > 0 then 'source-' || source else '' end,
        'buyer', 0, 0, pings, pings, pings / 2, pings / 4, pings / 8, pings / 16, pings / 16, 0, 0,
        pings / 10, 0, pings / 10, 0, 0, 0, pings / 20, pings / 20, pings / 40, pings * 25.5, pings,
        pings / 2.0, pings * 80000,
        array[
            0::bigint << 40 | pings / 4, 101::bigint << 40 | pings / 8,
            305::bigint << 40 | pings / 2
        ],
        offer.spread, offer.spread
    from generate_series($1::timestamptz, $2::timestamptz - interval '1 minute', '15 minutes') as at
    cross join size
    cross join offer
    cross join generate_series(1, greatest($4::integer, 1)) as source
"""

CAMPAIGNS: Final = 5
ROSTERS_A_DAY: Final = 12
"""How often an offer comes or goes: every two hours."""

_FILL_CALLS: Final = """
    with calls as (
        select
            $3::text as grain, at, 'campaign-' || number as campaign,
            case when $4 > 0 then 'source-' || source else '' end as source,
            (extract(epoch from at - $6) / 7200)::bigint + 1 as roster, $5::bigint as calls
        from generate_series($1::timestamptz, $2::timestamptz - interval '1 minute', '15 minutes')
            as at
        cross join generate_series(0, $7::integer - 1) as number
        cross join generate_series(1, greatest($4::integer, 1)) as source
    ),
    counted as (
        insert into report_rosters
        select grain, at, campaign, source, 'buyer', roster, calls from calls
    )
    insert into report_figures
    select
        grain, at, campaign, '', '', source, 'buyer', calls, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '{}', '{}', '{}'
    from calls
"""
_REVISIONS: Final = """
    insert into catalogue_revisions (revision, origin)
    select number, 'benchmark' from generate_series(1, $1::integer) as number
"""
_PLACES: Final = """
    insert into offer_places
    select
        'campaign-' || number % $3, 'offer-' || number, 'buyer-' || number / 2, 'buyer', 1, null
    from generate_series(1, $2::integer) as number
    union all
    select
        'campaign-' || number % $3, 'short-' || number, 'buyer-0', 'buyer', number, number
    from generate_series(1, $1::integer) as number
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
    """When the day began that the marketplace has not added up yet."""
    now = datetime.now(ZONE) - SETTLED_AFTER
    return now.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


async def fill_day(database: Database, extent: Extent, ago: int) -> None:
    """The figures of the day so many days before the one that is not added up yet."""
    first = last_midnight() - timedelta(days=ago)
    pings, until = extent.pings_per_row, first + timedelta(days=1)
    async with database.connection() as connection:
        for grain, sources, each in (
            (Grain.SOURCE_QUARTER, extent.sources, pings),
            (Grain.QUARTER, 0, pings * extent.sources),
        ):
            spread = max(1, each // _BINS)
            values = (first, until, extent.offers, sources, each, spread, grain.value)
            await connection.execute(_FILL, *values, timeout=600)
            calls = max(1, each * extent.offers // PINGS_PER_CALL // CAMPAIGNS)
            since = last_midnight() - timedelta(days=extent.days)
            some = (first, until, grain.value, sources, calls, since, CAMPAIGNS)
            await connection.execute(_FILL_CALLS, *some, timeout=600)


async def fill_places(database: Database, extent: Extent) -> None:
    """The offers of the campaigns, and those that came and went meanwhile."""
    revisions = (extent.days + 2) * ROSTERS_A_DAY
    async with database.connection() as connection:
        await connection.execute(_REVISIONS, revisions)
        await connection.execute(_PLACES, revisions, extent.offers, CAMPAIGNS)


async def add_up_days(database: Database) -> int:
    """Add up the days that are over, as the service does; how many those were."""
    upkeep, days = ReportUpkeep(database, lambda: ZONE), 0
    while await upkeep.add_up(datetime.now(UTC)):
        days += 1
    async with database.connection() as connection:
        await connection.execute("vacuum analyze report_figures", timeout=600)
    return days
