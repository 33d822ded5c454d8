"""Holding capacity: the second step of a decision, many calls in one transaction."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from auction.domain.ids import CallId, OwnerId
from auction.domain.opening import PastCall
from auction.domain.reserving import ReserveRequest, ReserveResult
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.books import Known, columns, lock_books, open_usage
from storage.callers import caller_key
from storage.database import Connection, Database
from storage.locked import find_locked, impatient, sparing_locked
from storage.queries import query
from storage.reserve_pass import (
    Item,
    NextAnswers,
    PastCalls,
    ReservePass,
    assumed,
    considered,
    is_first,
)
from storage.retries import TryAgainError
from storage.vault import CallerVault

_LOCK = query("lock_deciding")
_LOCK_CALLERS = query("lock_callers")
_PAST_ROUTES = query("past_routes")
_STEPS = query("read_steps")

_GUESSES: Final = 3
"""How often a batch is decided by usage as it is known before it waits for the locks."""


class Reserving:
    """Runs batches of reserve requests.

    What is asked for first of a call is decided by the usage as it is known, and stored by one
    statement if that is still the usage; with locks, and in five statements, otherwise.
    ``on_usage`` is told the usage that was seen.
    """

    def __init__(
        self,
        database: Database,
        vault: CallerVault,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None],
        known_usage: Callable[[], Mapping[OwnerId, Usage]],
    ) -> None:
        self._database = database
        self._vault = vault
        self._on_usage = on_usage
        self._known_usage = known_usage
        self._opened: set[OwnerId] = set()

    async def run(self, requests: Sequence[ReserveRequest]) -> Sequence[ReserveResult | Exception]:
        """One result per request: at first only first candidates, then whole plans of the rest."""
        items = [self._item(place, request) for place, request in enumerate(requests)]
        results = await self._sparing(items, whole=False)
        left = [item for item in items if item.place not in results]
        if left:
            results |= await self._second_pass(left)
        return [results[item.place] for item in items]

    async def _second_pass(self, left: Sequence[Item]) -> Mapping[int, ReserveResult | Exception]:
        try:
            return await self._sparing(left, whole=True)
        except StorageUnavailableError as error:
            # What the first pass has stored stands.
            return {item.place: error for item in left}

    async def _sparing(
        self, items: Sequence[Item], *, whole: bool
    ) -> dict[int, ReserveResult | Exception]:
        """What becomes of each; those left for a look at their whole plan are absent."""
        by_place = {item.place: item for item in items}

        async def run(
            places: Collection[int],
        ) -> dict[int, ReserveResult | Exception]:
            return await self._pass([by_place[place] for place in places], whole=whole)

        async def stuck(places: Collection[int]) -> Collection[int]:
            return await self._stuck([by_place[place] for place in places], whole=whole)

        return await sparing_locked(by_place, run, stuck)

    async def _stuck(self, items: Sequence[Item], *, whole: bool) -> Collection[int]:
        """The places of requests that need a row which is locked."""
        locked = await find_locked(
            self._database,
            (item.request.call.call_id for item in items),
            _owners(items, whole=whole),
            map(caller_key, _callers(items, whole=whole)),
        )
        return [
            item.place
            for item in items
            if item.request.call.call_id in locked.calls
            or not locked.owners.isdisjoint(_owners([item], whole=whole))
            or not locked.callers.isdisjoint(map(caller_key, _callers([item], whole=whole)))
        ]

    def _item(self, place: int, request: ReserveRequest) -> Item:
        call = request.call
        return Item(place, request, None if call.test else self._vault.hash(call.caller.number))

    async def _pass(
        self, items: Sequence[Item], *, whole: bool
    ) -> dict[int, ReserveResult | Exception]:
        first = () if whole else [item for item in items if is_first(item)]
        done = await self._as_known(first) if first else None
        if done is None:
            return await self._locked_pass(items, whole=whole)
        left = [item for item in items if not is_first(item)]
        return done | (await self._locked_pass(left, whole=False) if left else {})

    async def _as_known(self, items: Sequence[Item]) -> dict[int, ReserveResult | Exception] | None:
        """What becomes of first requests; None when that can't be said without the locks."""
        known, owners = self._known_usage(), _owners(items, whole=False)
        usage: Mapping[OwnerId, Usage] = {each: known[each] for each in owners if each in known}
        for _ in range(_GUESSES):
            if len(usage) < len(owners):
                return None
            now = datetime.now(UTC)
            step = assumed(items, usage, now)
            if not step.plans:
                return step.results
            condition = Known(
                [_as_opened(item) for item in items], _callers(items, whole=False), usage, now
            )
            async with impatient(self._database.connection()) as connection:
                other = await step.books.write_if(connection, [*step.plans.values()], condition)
            if other is None:
                self._on_usage(step.books.usage)
                return step.results
            usage = other
        return None

    async def _locked_pass(
        self, items: Sequence[Item], *, whole: bool
    ) -> dict[int, ReserveResult | Exception]:
        owners = _owners(items, whole=whole)
        await self._open_usage(owners)
        async with impatient(self._database.transaction()) as connection:
            call_ids = sorted({item.request.call.call_id for item in items})
            calls = await connection.fetch(_LOCK, call_ids)
            past = await _past_calls(connection, _callers(items, whole=whole))
            books = await lock_books(connection, call_ids, owners)
            if not owners <= books.usage.keys():
                self._opened.clear()
                raise TryAgainError
            answers = await _next_answers(connection, items)
            now = calls[0]["now"] if calls else datetime.now(UTC)
            locked = {row["call_id"]: row for row in calls}
            step = ReservePass(whole, now, locked, past, books, answers)
            for item in items:
                step.decide(item)
            await books.write(connection, list(step.plans.values()))
        self._on_usage(books.usage)
        return step.results

    async def _open_usage(self, owners: set[OwnerId]) -> None:
        missing = owners - self._opened
        if missing:
            async with self._database.connection() as connection:
                await open_usage(connection, missing)
            self._opened |= missing


def _as_opened(item: Item) -> tuple[CallId, int, datetime]:
    call = item.request.call
    return call.call_id, item.request.epoch, call.received_at


def _owners(items: Iterable[Item], *, whole: bool) -> set[OwnerId]:
    return {
        limits.owner
        for item in items
        for _, candidate in considered(item.request, whole=whole)
        for limits in candidate.owners
    }


def _callers(items: Iterable[Item], *, whole: bool) -> set[bytes]:
    return {
        item.caller
        for item in items
        if item.caller is not None
        and any(candidate.duplicates for _, candidate in considered(item.request, whole=whole))
    }


async def _past_calls(connection: Connection, callers: set[bytes]) -> PastCalls:
    """The routes of callers that a rule looks at, with these callers locked."""
    if not callers:
        return {}
    keys = sorted(map(caller_key, callers))
    await connection.execute(_LOCK_CALLERS, keys)
    past: PastCalls = {}
    for row in await connection.fetch(_PAST_ROUTES, sorted(callers)):
        route = PastCall(
            row["offer"],
            row["buyer"],
            row["campaign"],
            row["routed_at"],
            row["answered_at"],
            row["converted_at"],
        )
        past.setdefault(row["caller_hash"], {})[row["call_id"], row["attempt"]] = route
    return past


async def _next_answers(connection: Connection, items: Iterable[Item]) -> NextAnswers:
    """What was answered after failed attempts, for requests that are not about the first."""
    requests = (item.request for item in items)
    keys = sorted({(each.call.call_id, each.attempt - 1) for each in requests if each.attempt > 1})
    if not keys:
        return {}
    rows = await connection.fetch(_STEPS, *columns(keys, 2))
    return {(row["call_id"], row["attempt"] + 1): row["answer"] for row in rows}
