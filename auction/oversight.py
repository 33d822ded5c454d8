"""What the ops port looks at."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from auction.domain.terms import Catalogue
from auction.web.drain import Drain
from auction.web.services import OpsServices
from metrics.labels import FirstCome
from metrics.registry import Metrics
from metrics.usage_figures import usage_figures
from storage import catalogue
from storage.alert_book import count_active
from storage.catalogue_items import CAMPAIGN, OFFER
from storage.database import Database
from storage.deliveries import count_dead
from storage.readings import read_ledger
from storage.report_folding import read_backlog


async def tell_first_come(database: Database, metrics: Metrics, revision: int) -> None:
    """Have the metrics know which of a revision's offers and campaigns are the oldest.

    Raises StorageUnavailableError.
    """
    offers, campaigns = [
        await catalogue.first_come(database, kind, revision, metrics.label_limit)
        for kind in (OFFER, CAMPAIGN)
    ]
    metrics.came_first(FirstCome(offers, campaigns))


def ops_services(
    database: Database,
    catalogue_now: Callable[[], Catalogue | None],
    metrics: Metrics,
    drain: Drain,
) -> OpsServices:
    """What the ops port looks at."""

    async def database_answers() -> str | None:
        await catalogue.latest(database)
        return None

    async def catalogue_loaded() -> str | None:
        return "not loaded" if catalogue_now() is None else None

    async def refresh() -> None:
        current = catalogue_now()
        if current is not None:
            reading = await read_ledger(database)
            # Thousands of offers take a while; calls go on being decided meanwhile.
            now = datetime.now(UTC)
            metrics.show_usage(await asyncio.to_thread(usage_figures, current, reading.usage, now))
            metrics.show_alerts(await count_active(database))
            metrics.show_dead_letters(await count_dead(database))
            backlog = await read_backlog(database)
            metrics.show_report_backlog(backlog.waiting, backlog.oldest_s)

    return OpsServices(
        checks={"database": database_answers, "catalogue": catalogue_loaded},
        exposition=metrics.exposition,
        refresh=refresh,
        show_checks=metrics.show_checks,
        drain=drain,
    )
