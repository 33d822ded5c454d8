"""The money of locked calls in one transaction: as it was read, and as entries have moved it."""

from collections.abc import Collection, Iterable

from auction.domain.conversions import Entry, PastConversion
from auction.domain.ids import CallId
from storage.bookings import BookedSides
from storage.books import Books, lock_books
from storage.callers import PastConversions, caller_key, lock_conversions
from storage.database import Connection
from storage.holds import Hold
from storage.progress import CallRow
from storage.retries import TryAgainError
from storage.settling import Account


class Accounts:
    """What calls have earned. ``entries`` are those taken since, to be written in their order."""

    def __init__(self, booked: BookedSides, past: PastConversions) -> None:
        self._accounts = {call_id: Account(booked=sides) for call_id, sides in booked.items()}
        self._past = dict(past)
        self.entries: list[Entry] = []

    def of(self, call: CallRow) -> Account:
        """One call's account: what is booked by now, and what its caller's attempts have earned."""
        booked = self._accounts.get(call.call_id, Account()).booked
        past = () if call.caller_hash is None else self._past.get(call.caller_hash, ())
        return Account(not call.test, booked, past)

    def take(self, call: CallRow, hold: Hold, entries: Iterable[Entry]) -> None:
        """Book entries. ``hold`` is that of their attempt, with their times."""
        for entry in entries:
            self.entries.append(entry)
            self._accounts[call.call_id] = self.of(call).after(entry)
            if call.caller_hash is not None:
                self._remember(call.caller_hash, hold)

    def _remember(self, caller: bytes, hold: Hold) -> None:
        past = PastConversion(
            hold.call_id, hold.offer, hold.campaign, hold.source, hold.converted_at, hold.paid_at
        )
        others = [
            each
            for each in self._past.get(caller, ())
            if (each.call_id, each.offer) != (past.call_id, past.offer)
        ]
        self._past[caller] = [*others, past]


async def open_accounts(
    connection: Connection, calls: Collection[CallRow]
) -> tuple[Books, Accounts]:
    """The books and the accounts of calls that are locked; their usage is locked by this.

    Where a rule looks at a call's caller, the caller is locked too, before the usage. Raises
    TryAgainError when that became known too late.
    """
    callers = {call.caller_hash for call in calls if call.caller_hash and _looks_back(call)}
    past = await lock_conversions(connection, callers)
    books = await lock_books(connection, [call.call_id for call in calls])
    _check_callers(calls, books)
    return books, Accounts(books.booked, past)


def _check_callers(calls: Iterable[CallRow], books: Books) -> None:
    """Make sure that all callers are locked that the calls' holds look at.

    Whoever had a call locked before may have made a hold of which nobody knew when its row was
    read.
    """
    for call in calls:
        unseen = call.caller_hash and not call.test and not call.dedupes
        if unseen and any(hold.dedupes for hold in books.holds_of(call.call_id)):
            raise TryAgainError


def caller_keys(calls: Iterable[CallRow]) -> dict[CallId, int]:
    """The callers that ``open_accounts`` locks, by the calls that need it."""
    return {
        call.call_id: caller_key(call.caller_hash)
        for call in calls
        if call.caller_hash and _looks_back(call)
    }


def _looks_back(call: CallRow) -> bool:
    """Whether other calls of its caller decide what a call earns."""
    return call.dedupes and not call.test
