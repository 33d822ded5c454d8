"""A caller's data as the API exports and erases it."""

from collections.abc import Iterable, Sequence

from auction.domain.ids import CallId
from auction.domain.terms import Campaign, Catalogue
from auction.web.management.handlers import FROM_API
from storage.audit import Actor
from storage.caller_data import CallerData
from storage.database import Database
from storage.erasing import Erased


class CallerKeeping:
    """See ``auction.web.callers.CallerData``."""

    def __init__(self, database: Database) -> None:
        self._data = CallerData(database)

    async def calls(self, caller_hash: bytes, after: CallId | None, limit: int) -> Sequence[CallId]:
        """A caller's calls by id. Raises StorageUnavailableError."""
        return await self._data.calls(caller_hash, after, limit)

    async def erase(self, number: str, caller_hash: bytes, by: str) -> Erased:
        """Take away what tells of the caller. Raises StorageUnavailableError."""
        return await self._data.erase(number, caller_hash, Actor(FROM_API, by))


def campaigns_of(terms: Catalogue | None) -> Iterable[Campaign]:
    """The campaigns of a marketplace, none before the first."""
    return () if terms is None else terms.campaigns.values()


def blocklists_of(terms: Catalogue | None, number: str) -> Sequence[str]:
    """The campaigns that name a number in their blocklist."""
    return [each.id for each in campaigns_of(terms) if number in each.caller_blocklist]
