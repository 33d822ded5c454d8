"""What buyers report of calls sold to them: booked, amended and withdrawn under the call's lock."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

from auction.domain.conversions import Booked, Side
from auction.domain.ids import CallId, OwnerId
from auction.domain.lifecycle import CallState
from auction.domain.postbacks import (
    NamedBy,
    Postback,
    PostbackResult,
    Refused,
    Reported,
    ReportResult,
    derived_event_id,
)
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.accounts import open_accounts
from storage.books import Books
from storage.claims import Claimed, write_claim
from storage.database import Connection, Database
from storage.holds import Hold, HoldState
from storage.locked import find_locked, impatient, sparing_locked
from storage.outbox import SILENT, Outbox
from storage.postback_pass import Hearing, Known
from storage.progress import (
    CallRow,
    EarnedListener,
    ignore_earned,
    load_call,
    tell_earned,
    write_progress,
)
from storage.queries import query
from storage.turns import a_turn

_PLAN_BY_KEYS = query("plan_by_keys")
_LOCK = query("lock_reported")
_KNOWN = query("known_postback")
_WRITE = query("write_postback")
_FIND: Final = {
    NamedBy.CALL_ID: query("sold_by_call"),
    NamedBy.PING_ID: query("sold_by_post"),
    NamedBy.POST_ID: query("sold_by_post"),
    NamedBy.BID_ID: query("sold_by_bid"),
}

AT_ONCE: Final = 2
"""How many reports use a connection at the same time."""

PATIENCE_S: Final = 2.0
"""How long a report waits for its turn."""

LOOKS: Final = 3
"""How often the attempt is looked up that a report names, because it was passed on meanwhile."""

_DECIDING: Final = frozenset({CallState.DECIDING, CallState.REROUTING})
_SOLD: Final = frozenset({HoldState.ROUTED, HoldState.ANSWERED, HoldState.ENDED, HoldState.LOST})


@dataclass(frozen=True, slots=True)
class Named:
    """The attempt that a report names."""

    call_id: CallId
    attempt: int


class Postbacks:
    """Takes buyers' reports, a few at a time: most connections are for deciding calls.

    After each commit ``on_usage`` is told the usage seen and ``on_earned`` what was booked;
    subscribers are told by the ``outbox``.
    """

    def __init__(
        self,
        database: Database,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None] = lambda _: None,
        *,
        on_earned: EarnedListener = ignore_earned,
        outbox: Outbox = SILENT,
        at_once: int = AT_ONCE,
    ) -> None:
        self._database = database
        self._on_usage = on_usage
        self._on_earned = on_earned
        self._outbox = outbox
        self._free = asyncio.Semaphore(at_once)

    async def report(self, postback: Postback) -> PostbackResult:
        """What became of a report, once that is durable. Raises StorageUnavailableError."""
        async with a_turn(self._free, PATIENCE_S, "too many postbacks are waiting"):
            before: Named | None = None
            for _ in range(LOOKS):
                named = await self._find(postback)
                if named is None or named == before:
                    break
                result = await self._hear_sparing(postback, named)
                if result is not Refused.UNKNOWN_CALL:
                    return result
                before = named
        return Refused.UNKNOWN_CALL

    async def _hear_sparing(self, postback: Postback, named: Named) -> PostbackResult:
        async def run(calls: Collection[CallId]) -> dict[CallId, PostbackResult]:
            return dict.fromkeys(calls, await self._hear(postback, named))

        async def stuck(calls: Collection[CallId]) -> Collection[CallId]:
            return (await find_locked(self._database, calls)).calls

        result = (await sparing_locked([named.call_id], run, stuck))[named.call_id]
        if isinstance(result, StorageUnavailableError):
            raise result
        return result

    async def _find(self, postback: Postback) -> Named | None:
        # the id that a ping's post has is made of the ping's own
        name = f"{postback.name}-post" if postback.named_by is NamedBy.PING_ID else postback.name
        async with self._database.transaction() as connection:
            await connection.execute(_PLAN_BY_KEYS)
            row = await connection.fetchrow(_FIND[postback.named_by], name, postback.buyer)
        return None if row is None else Named(row["call_id"], row["attempt"])

    async def _hear(self, postback: Postback, named: Named) -> PostbackResult:
        async with impatient(self._database.transaction()) as connection:
            rows = await connection.fetch(_LOCK, [named.call_id])
            if not rows:
                return Refused.UNKNOWN_CALL
            hearing = await _open(connection, rows[0], named, postback)
            if hearing is None:
                return Refused.UNKNOWN_CALL
            result = hearing.hear()
            if isinstance(result, Reported) and result.result is not ReportResult.REPEATED:
                await _write(connection, hearing, self._outbox)
        self._on_usage(hearing.books.usage)
        tell_earned(hearing.accounts.entries, {named.call_id: hearing.call}, self._on_earned)
        return result


async def _open(
    connection: Connection, row: asyncpg.Record, named: Named, postback: Postback
) -> Hearing | None:
    """All that a report needs, locked; None when the buyer has no such call (any more)."""
    call = load_call(row)
    books, accounts = await open_accounts(connection, [call])
    booked = accounts.of(call).booked.get(Side.BUYER)
    hold = _meant(books, booked, named)
    if hold is None or postback.buyer not in (None, hold.buyer):
        return None
    event_id = postback.event_id or derived_event_id(
        call.call_id, hold.buyer, postback.status, postback.amount
    )
    before = await connection.fetchrow(_KNOWN, call.call_id, hold.buyer, event_id)
    known = None if before is None else Known(before["fingerprint"], before["flagged"])
    if known is None and (_is_decided(call, hold) or not _is_sold(hold, booked)):
        return None
    return Hearing(postback, event_id, row["now"], call, hold, books, accounts, known)


def _meant(books: Books, booked: Booked | None, named: Named) -> Hold | None:
    """The attempt that is named, or the same buyer's where the call's conversion stands."""
    hold = books.hold(named.call_id, named.attempt)
    if hold is None or booked is None or booked.withdrawn:
        return hold
    converted = books.hold(named.call_id, booked.attempt)
    return converted if converted is not None and converted.buyer == hold.buyer else hold


def _is_decided(call: CallRow, hold: Hold) -> bool:
    """Whether somebody is deciding this very attempt anew: what it held is about to be replaced."""
    return call.progress.state in _DECIDING and call.progress.attempt == hold.attempt


def _is_sold(hold: Hold, booked: Booked | None) -> bool:
    """Whether the buyer had the call: one that failed only if it was answered or has converted."""
    if hold.state is HoldState.FAILED:
        converted = booked is not None and booked.attempt == hold.attempt
        return converted or hold.answered_at is not None
    return hold.state in _SOLD


async def _write(connection: Connection, hearing: Hearing, outbox: Outbox) -> None:
    """Store the report and all that it brought."""
    await hearing.books.write(connection)
    moved = [hearing.call] if hearing.moved else []
    await write_progress(connection, moved, hearing.accounts.entries)
    postback = hearing.postback
    await connection.execute(
        _WRITE,
        hearing.call.call_id,
        hearing.hold.buyer,
        hearing.event_id,
        postback.fingerprint,
        postback.status.value,
        postback.amount,
        hearing.result.value,
        hearing.hold.converted_at is not None,
    )
    if postback.claim is not None:
        credited = hearing.brought_down(Side.BUYER), hearing.brought_down(Side.SOURCE)
        claimed = Claimed.of_hold(hearing.hold, hearing.call, hearing.event_id, *credited)
        await write_claim(connection, claimed, postback.claim, postback.fingerprint)
    await outbox.write(connection, hearing.facts)
