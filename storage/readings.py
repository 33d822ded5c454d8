"""The state of the ledger as a whole, for gauges."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auction.domain.ids import OfferId, OwnerId
from auction.domain.usage import Usage
from storage.database import Connection, Database
from storage.holds import HoldState
from storage.queries import query
from storage.usage_rows import decode

_READ_ALL_USAGE = query("read_all_usage")
_HOLDS_BY_OFFER = query("holds_by_offer")


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """Usage by owner, and by offer and state how many attempts hold anything."""

    usage: Mapping[OwnerId, Usage]
    holds: Mapping[tuple[OfferId, HoldState], int]


class DecodedUsage(Mapping[OwnerId, Usage]):
    """Usage rows, each decoded when it is asked for: decoded they take many times the memory."""

    def __init__(self, counters: Mapping[OwnerId, Sequence[int]]) -> None:
        self._counters = counters

    def __getitem__(self, owner: OwnerId) -> Usage:
        return decode(self._counters[owner])

    def __iter__(self) -> Iterator[OwnerId]:
        return iter(self._counters)

    def __len__(self) -> int:
        return len(self._counters)


async def read_usage_of_all(connection: Connection) -> Mapping[OwnerId, Usage]:
    """What every owner has used; who is absent has used nothing."""
    rows = await connection.fetch(_READ_ALL_USAGE)
    return DecodedUsage({row["owner"]: row["counters"] for row in rows})


async def read_ledger(database: Database) -> LedgerReading:
    """The state of all owners now. Raises StorageUnavailableError."""
    async with database.connection() as connection:
        usage = await read_usage_of_all(connection)
        holds = await connection.fetch(_HOLDS_BY_OFFER)
    return LedgerReading(
        usage,
        {(row["offer"], HoldState(row["state"])): row["holds"] for row in holds},
    )
