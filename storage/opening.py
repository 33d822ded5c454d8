"""Claiming calls: the first step of a decision, many calls in one statement."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from auction.domain.decision import (
    AlreadyDecided,
    BeingDecided,
    Opened,
    Opening,
    OpenResult,
    OtherContent,
    StoredPlan,
)
from auction.domain.ids import CallId
from auction.domain.lifecycle import CallState
from auction.ports import StorageUnavailableError
from storage.books import columns
from storage.database import Database
from storage.past_calls import load_routes
from storage.plans import load_candidates
from storage.queries import query
from storage.retries import retrying
from storage.vault import CallerVault

_OPEN = query("open_calls")
_PLAN = query("taken_over_plan")
_COLLECT = query("collect_late")

ROUNDS: Final = 5
"""How often a call is looked at again because others were changing it at the same time."""

_COLUMNS: Final = 14


class OpeningCalls:
    """Runs batches of openings."""

    def __init__(self, database: Database, vault: CallerVault) -> None:
        self._database = database
        self._vault = vault

    async def run(self, openings: Sequence[Opening]) -> Sequence[OpenResult | Exception]:
        """One result per opening; of several for the same call one claims it at most."""
        results: dict[int, OpenResult] = {}
        for _ in range(ROUNDS):
            left = [place for place in range(len(openings)) if place not in results]
            if not left:
                break
            await self._round(openings, left, results)
        contended = StorageUnavailableError("too many ask for the same call at once")
        return [results.get(place, contended) for place in range(len(openings))]

    async def _round(
        self, openings: Sequence[Opening], left: Sequence[int], results: dict[int, OpenResult]
    ) -> None:
        first = {openings[place].call.call_id: place for place in reversed(left)}
        rows = await self._open([openings[first[call_id]] for call_id in sorted(first)])
        for place in left:
            opening = openings[place]
            row = rows[opening.call.call_id]
            if row["epoch"] is None:
                result = await self._read(row, opening)
            elif first[opening.call.call_id] == place:
                result = await self._claimed(row)
            else:
                continue
            if result is not None:
                results[place] = result

    async def _open(self, openings: Sequence[Opening]) -> dict[CallId, asyncpg.Record]:
        arrays = columns([self._row(opening) for opening in openings], _COLUMNS)

        async def open_all() -> list[asyncpg.Record]:
            async with self._database.connection() as connection:
                return await connection.fetch(_OPEN, *arrays)

        return {row["call_id"]: row for row in await retrying(open_all)}

    def _row(self, opening: Opening) -> Sequence[Any]:
        call = opening.call
        return (
            call.call_id,
            opening.fingerprint,
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
            self._vault.hash(call.caller.number),
            self._vault.seal(call),
        )

    async def _claimed(self, row: asyncpg.Record) -> Opened:
        past = load_routes(row["routes"])
        if row["epoch"] == 1:
            return Opened(1, past)
        plan = await self._taken_over_plan(row["call_id"])
        return Opened(row["epoch"], past, plan, row["received_at"])

    async def _taken_over_plan(self, call_id: CallId) -> StoredPlan | None:
        """What the decider before us left: read now, when it can add nothing any more."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_PLAN, call_id)
        if row is None:
            return None
        candidates = load_candidates(row["candidates"])
        return StoredPlan(candidates, row["position"], row["trace"], row["received_at"])

    async def _read(self, row: asyncpg.Record, opening: Opening) -> OpenResult | None:
        """What is known of a call that is not ours; None when it changed while we looked."""
        if not row["known"] or row["free"]:
            return None
        if row["fingerprint"] != opening.fingerprint:
            lost = row["state"] == CallState.LOST.value
            return OtherContent() if row["binding"] or lost else None
        if row["state"] == CallState.DECIDING.value:
            return BeingDecided(row["wait_ms"]) if row["wait_ms"] > 0 else None
        if row["state"] == CallState.LATE.value and not await self._collect(row["call_id"]):
            return None
        return AlreadyDecided(row["answer"])

    async def _collect(self, call_id: CallId) -> bool:
        """Whether the late decision was still there to be fetched."""
        async with self._database.connection() as connection:
            return await connection.fetchval(_COLLECT, call_id) is not None
