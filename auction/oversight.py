"""What the ops port looks at."""

from collections.abc import Callable
from datetime import UTC, datetime

from auction.domain.terms import Catalogue
from auction.web.drain import Drain
from auction.web.services import OpsServices
from metrics.registry import Metrics
from metrics.usage_figures import usage_figures
from storage import catalogue
from storage.database import Database
from storage.readings import read_ledger


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
            metrics.show_usage(usage_figures(current, reading.usage, datetime.now(UTC)))

    return OpsServices(
        checks={"database": database_answers, "catalogue": catalogue_loaded},
        exposition=metrics.exposition,
        refresh=refresh,
        drain=drain,
    )
