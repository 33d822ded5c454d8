"""Claiming calls: the first step of a decision, many calls in one statement."""

from collections.abc import Callable, Collection, Mapping, Sequence
from random import randrange
from typing import Any, Final

import asyncpg

from auction.domain.ids import CallId
from auction.domain.lifecycle import CallState
from auction.domain.opening import (
    AlreadyDecided,
    BeingDecided,
    KnownAs,
    Opened,
    Opening,
    OpenResult,
    OtherContent,
)
from auction.domain.plan import StoredPlan
from auction.ports import StorageUnavailableError
from storage.arrays import text_columns
from storage.calls_read import stored_plan, unsealed_row
from storage.collecting import Collecting
from storage.database import Database
from storage.locked import find_locked, impatient, sparing_locked
from storage.past_calls import load_routes
from storage.queries import query
from storage.vault import CallerVault

_OPEN = query("open_calls")
_PLANS = query("taken_over_plans")

ROUNDS: Final = 5
"""How often a call is looked at again because others were changing it at the same time."""

MOST_EPOCH: Final = 2**30
"""The largest step from one decider's epoch to the next."""

_COLUMNS: Final = (14, 3)

_Results = dict[int, OpenResult | Exception]


def random_epoch() -> int:
    """An epoch that no other decider of a call has, as good as certainly.

    Claims are not flushed: one that a crash of the database took may still have its decider.
    """
    return randrange(1, MOST_EPOCH)  # noqa: S311 - chosen against accidents, not against guessing


class OpeningCalls:
    """Runs batches of openings; late decisions that switches come back for go to ``collecting``.

    ``new_epoch`` gives a call's first epoch and the steps from it.
    """

    def __init__(
        self,
        database: Database,
        vault: CallerVault,
        collecting: Collecting,
        new_epoch: Callable[[], int] = random_epoch,
    ) -> None:
        self._database = database
        self._vault = vault
        self._collecting = collecting
        self._new_epoch = new_epoch

    async def run(self, openings: Sequence[Opening]) -> Sequence[OpenResult | Exception]:
        """One result per opening; of several for the same call one claims it at most."""
        results: _Results = {}
        for _ in range(ROUNDS):
            left = [place for place in range(len(openings)) if place not in results]
            if not left:
                break
            await self._round(openings, left, results)
        contended = StorageUnavailableError("too many ask for the same call at once")
        return [results.get(place, contended) for place in range(len(openings))]

    async def _round(
        self, openings: Sequence[Opening], left: Sequence[int], results: _Results
    ) -> None:
        first = {openings[place].call.call_id: place for place in reversed(left)}
        rows = await self._open({call_id: openings[first[call_id]] for call_id in sorted(first)})
        claimed: dict[int, asyncpg.Record] = {}
        answered: dict[int, asyncpg.Record] = {}
        for place in left:
            opening = openings[place]
            row = rows[opening.call.call_id]
            if isinstance(row, Exception):
                results[place] = row
            elif row["epoch"] is None:
                result = _read(row, opening)
                if isinstance(result, AlreadyDecided):
                    answered[place] = row
                elif result is not None:
                    results[place] = result
            elif first[opening.call.call_id] == place:
                claimed[place] = row
        results |= await self._claimed(openings, claimed)
        results |= await self._answered(answered)

    async def _open(
        self, openings: Mapping[CallId, Opening]
    ) -> Mapping[CallId, asyncpg.Record | StorageUnavailableError]:
        async def open_all(call_ids: Collection[CallId]) -> dict[CallId, asyncpg.Record]:
            arrays = text_columns([self._row(openings[call_id]) for call_id in call_ids], *_COLUMNS)
            async with impatient(self._database.connection()) as connection:
                rows = await connection.fetch(_OPEN, *arrays)
            return {row["call_id"]: row for row in rows}

        return await sparing_locked(openings, open_all, self._locked)

    async def _locked(self, call_ids: Collection[CallId]) -> Collection[CallId]:
        return (await find_locked(self._database, call_ids)).calls

    def _row(self, opening: Opening) -> Sequence[Any]:
        call = opening.call
        return (
            call.call_id,
            opening.decide_within_ms,
            call.received_at,
            opening.revision,
            opening.campaign,
            call.campaign,
            call.dialed_number,
            call.source,
            call.switch,
            call.test,
            call.timeout_ms,
            self._new_epoch(),
            None if opening.pool is None else call.dialed_number,
            None if opening.pool is None else opening.pool.source,
            opening.fingerprint,
            self._vault.hash(call.caller.number),
            self._vault.seal(call),
        )

    async def _claimed(
        self, openings: Sequence[Opening], rows: Mapping[int, asyncpg.Record]
    ) -> _Results:
        """Calls that are ours now, with what the deciders before us left."""
        again = [row["call_id"] for row in rows.values() if row["known_before"]]
        try:
            plans = await self._taken_over_plans(again)
        except Exception as error:  # noqa: BLE001 - new calls of the batch need no plan
            return {
                place: error if row["known_before"] else self._opened(row, openings[place], None)
                for place, row in rows.items()
            }
        return {
            place: self._opened(row, openings[place], plans.get(row["call_id"]))
            for place, row in rows.items()
        }

    def _opened(self, row: asyncpg.Record, opening: Opening, plan: StoredPlan | None) -> Opened:
        past, known_as = load_routes(row["routes"]), self._known_as(row, opening)
        on = tuple(row["lists"] or ())
        if not row["known_before"]:
            return Opened(row["epoch"], past, known_as=known_as, suppressed=on)
        return Opened(row["epoch"], past, plan, row["received_at"], known_as, on)

    def _known_as(self, row: asyncpg.Record, opening: Opening) -> KnownAs | None:
        """What is recorded, where that differs from the opening: most often it does not."""
        call, fields = opening.call, opening.call.fields
        if row["known_before"]:
            fields = unsealed_row(row, self._vault).fields
        elif row["lent"] is not None:
            fields = {**self._vault.open_tags(row["lent"], row["lease"]), **fields}
        same = row["source"] == call.source and fields == call.fields
        return None if same else KnownAs(row["source"], fields)

    async def _taken_over_plans(self, call_ids: Sequence[CallId]) -> dict[CallId, StoredPlan]:
        """What deciders before us left: read now, when they can add nothing any more."""
        if not call_ids:
            return {}
        async with self._database.connection() as connection:
            rows = await connection.fetch(_PLANS, sorted(call_ids))
        plans = ((row["call_id"], stored_plan(row)) for row in rows)
        return {call_id: plan for call_id, plan in plans if plan is not None}

    async def _answered(self, rows: Mapping[int, asyncpg.Record]) -> _Results:
        """Stored answers; none of a late decision that was lost while we looked."""
        late = {
            row["call_id"]: self._collecting.is_told(row["campaign"], row["buyer"])
            for row in rows.values()
            if _waits_for_its_switch(row)
        }
        collected = await self._collecting.first(late) if late else {}
        results: _Results = {}
        for place, row in rows.items():
            outcome = collected.get(row["call_id"], True)
            if isinstance(outcome, Exception):
                results[place] = outcome
            elif outcome:
                results[place] = AlreadyDecided(row["answer"])
        return results


def _read(row: asyncpg.Record, opening: Opening) -> OpenResult | None:
    """What is known of a call that is not ours; None when it changed while we looked."""
    if not row["known"] or row["free"]:
        return None
    if row["fingerprint"] != opening.fingerprint:
        return OtherContent()
    if row["state"] == CallState.DECIDING.value:
        return BeingDecided(row["wait_ms"]) if row["wait_ms"] > 0 else None
    return AlreadyDecided(row["answer"])


def _waits_for_its_switch(row: asyncpg.Record) -> bool:
    """Whether the first decision is late; a later one is fetched by asking for it again."""
    state, attempt = row["state"], row["attempt"]
    return bool(state == CallState.LATE.value and attempt == 1)
