"""Late routes that their switches come back for: from then on they are routes like any others."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg

from auction.domain.ids import BuyerId, CallId, CampaignId, OwnerId
from auction.domain.lifecycle import CallState
from auction.domain.terms import WebhookEvent
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.accounts import caller_keys, open_accounts
from storage.books import columns
from storage.database import Database
from storage.holds import Hold
from storage.locked import find_locked, impatient, sparing_locked
from storage.outbox import SILENT, Outbox
from storage.progress import (
    CallRow,
    EarnedListener,
    ignore_earned,
    load_call,
    tell_earned,
    write_progress,
)
from storage.queries import query
from storage.routing_pass import RoutingPass, earns_by_attempt

_COLLECT = query("collect_late")
_LOCK = query("lock_reported")
_EXTEND = query("collect_next")

Fetched = dict[CallId, bool | Exception]
"""Whether each late decision was still there to be fetched."""


def _ignore_usage(_: Mapping[OwnerId, Usage]) -> None:
    return


class Collecting:
    """Collects late routes, and books and tells what follows from them in the same transaction.

    That is the attempt's conversions and that it was routed. Caps that it has reached are not told
    of: their limits were those of its plan, and are not known any more. After a commit ``on_usage``
    is told the usage seen and ``on_earned`` what was booked.
    """

    def __init__(
        self,
        database: Database,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None] = _ignore_usage,
        outbox: Outbox = SILENT,
        on_earned: EarnedListener = ignore_earned,
    ) -> None:
        self._database = database
        self._on_usage = on_usage
        self._outbox = outbox
        self._on_earned = on_earned

    def follows(self, hold: Hold, campaign: CampaignId | None, *, test: bool) -> bool:
        """Whether collecting a route is not all: it earns, or somebody is to be told of it."""
        earns = earns_by_attempt(hold.terms.rules, hold.terms.payouts) and not test
        return earns or self.is_told(campaign, hold.buyer)

    def is_told(self, campaign: CampaignId | None, buyer: BuyerId | None) -> bool:
        """Whether anybody is to be told of such a route, whatever it earns."""
        return self._outbox.wanted(campaign, buyer, WebhookEvent.CALL_ROUTED)

    async def first(self, told: Mapping[CallId, bool]) -> Fetched:
        """Collect first decisions: by one statement, unless ``told`` or the terms ask for more."""
        apart = {call_id for call_id in told if told[call_id]}

        async def run(call_ids: Collection[CallId]) -> dict[CallId, bool]:
            async with impatient(self._database.connection()) as connection:
                rows = await connection.fetch(_COLLECT, sorted(call_ids))
            apart.update(row["call_id"] for row in rows if not row["collected"])
            collected = {row["call_id"] for row in rows if row["collected"]}
            return {call_id: call_id in collected for call_id in call_ids}

        async def stuck(call_ids: Collection[CallId]) -> Collection[CallId]:
            return (await find_locked(self._database, call_ids)).calls

        plain = sorted(told.keys() - apart)
        fetched: Fetched = {}
        try:
            found = await sparing_locked(plain, run, stuck)
            fetched |= found
        except Exception as error:  # noqa: BLE001 - the other answers of the batch stand
            fetched |= dict.fromkeys(plain, error)
        return fetched | await self.apart(dict.fromkeys(apart, 1))

    async def apart(self, attempts: Mapping[CallId, int]) -> Fetched:
        """Collect decisions about these attempts, with all that follows."""
        if not attempts:
            return {}
        try:
            return {**await self._sparing(attempts)}
        except StorageUnavailableError as error:
            return dict.fromkeys(attempts, error)
        except Exception as error:  # noqa: BLE001 - each of these may be the one to blame
            if len(attempts) == 1:
                return dict.fromkeys(attempts, error)
        fetched: Fetched = {}
        for call_id, attempt in attempts.items():
            fetched |= await self.apart({call_id: attempt})
        return fetched

    async def _sparing(
        self, attempts: Mapping[CallId, int]
    ) -> Mapping[CallId, bool | StorageUnavailableError]:
        callers: dict[CallId, int] = {}

        async def run(call_ids: Collection[CallId]) -> dict[CallId, bool]:
            return await self._run({each: attempts[each] for each in call_ids}, callers)

        async def stuck(call_ids: Collection[CallId]) -> Collection[CallId]:
            wanted = {each: callers[each] for each in call_ids if each in callers}
            locked = await find_locked(self._database, call_ids, callers=wanted.values())
            return locked.calls | {each for each in wanted if wanted[each] in locked.callers}

        return await sparing_locked(sorted(attempts), run, stuck)

    async def _run(
        self, attempts: Mapping[CallId, int], callers: dict[CallId, int]
    ) -> dict[CallId, bool]:
        """One transaction. ``callers`` gets the keys of those that it has to lock, by call."""
        async with impatient(self._database.transaction()) as connection:
            rows = await connection.fetch(_LOCK, sorted(attempts))
            calls = [_collected(call) for call in map(load_call, rows) if _waits(call, attempts)]
            callers.update(caller_keys(calls))
            keys = [(call.call_id, call.progress.attempt) for call in calls]
            await connection.execute(_EXTEND, *columns(keys, 2))
            books, accounts = await open_accounts(connection, calls)
            step = RoutingPass(_now(rows), books, accounts, self._outbox)
            for call in calls:
                hold = books.hold(call.call_id, call.progress.attempt)
                if hold is not None:
                    step.take(call, hold)
            await books.write(connection)
            await write_progress(connection, calls, accounts.entries)
            await self._outbox.write(connection, step.facts)
        self._on_usage(books.usage)
        tell_earned(accounts.entries, {call.call_id: call for call in calls}, self._on_earned)
        collected = {call.call_id for call in calls}
        return {call_id: call_id in collected for call_id in attempts}


def _waits(call: CallRow, attempts: Mapping[CallId, int]) -> bool:
    late = call.progress.state is CallState.LATE
    return late and call.progress.attempt == attempts[call.call_id]


def _collected(call: CallRow) -> CallRow:
    return replace(call, progress=replace(call.progress, state=CallState.ROUTED))


def _now(rows: Sequence[asyncpg.Record]) -> datetime:
    return rows[0]["now"] if rows else datetime.now(UTC)
