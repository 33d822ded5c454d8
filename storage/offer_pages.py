"""What an offer's page shows: its usage by the ledger, its totals by the figures."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from auction.domain.ids import OfferId, OwnerId
from auction.domain.offer_page import OfferTotals
from auction.domain.usage import Usage
from storage.queries import query
from storage.report_figures import READ_S, Connections, adding_up
from storage.usage_rows import decode

_USAGE = query("read_usage")
_TOTALS = query("offer_totals")


class OfferPages:
    """Reads in turn with others who use these connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def usage(self, owners: Iterable[OwnerId]) -> Mapping[OwnerId, Usage]:
        """The usage of these owners now. Raises StorageUnavailableError."""
        async with self._connections.connection() as connection:
            rows = await connection.fetch(_USAGE, list(owners))
        return {row["owner"]: decode(row["counters"]) for row in rows}

    async def totals(self, offer: OfferId, month: datetime) -> OfferTotals:
        """What an offer has come to; ``month``: when the current month began.

        Test calls are left out. Raises StorageUnavailableError.
        """
        async with adding_up(self._connections) as connection:
            row = await connection.fetchrow(_TOTALS, offer, month, timeout=READ_S)
        assert row is not None, "sums are always one row"
        return OfferTotals(**row)
