"""Claiming calls of which an attempt failed, many in one transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import asyncpg

from auction.domain.call import Call
from auction.domain.ids import CallId, OwnerId
from auction.domain.next_attempt import NextRequest, NextResult, Rerouting
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.books import columns, lock_books
from storage.calls_read import stored_plan, unsealed_call
from storage.collecting import Collecting
from storage.database import Connection, Database
from storage.locked import find_locked, impatient, sparing_locked
from storage.next_pass import Claimed, LockedCall, NextPass, PassResult, Step, StepKey, Uncollected
from storage.opening import random_epoch
from storage.past_calls import load_routes
from storage.queries import query
from storage.vault import CallerVault

_LOCK = query("lock_next")
_STEPS = query("read_steps")
_MATERIAL = query("rerouting_material")
_WRITE = query("write_next")
_COLLECT = query("collect_next")
_ANSWER = query("answer_next")


ROUNDS: Final = 3
"""How often a request is looked at again, because its call's late route had to be collected."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a request after ``attempt`` that changes nothing of the call."""

    call_id: CallId
    attempt: int
    answer: bytes


class ReroutingCalls:
    """Runs batches of requests for another route. ``on_usage`` is told the usage after each commit.

    Late routes of which something follows are left to ``collecting`` first. ``new_epoch`` gives the
    steps from one decider's epoch to the next.
    """

    def __init__(
        self,
        database: Database,
        vault: CallerVault,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None],
        collecting: Collecting,
        new_epoch: Callable[[], int] = random_epoch,
    ) -> None:
        self._database = database
        self._vault = vault
        self._on_usage = on_usage
        self._collecting = collecting
        self._new_epoch = new_epoch

    async def run(self, requests: Sequence[NextRequest]) -> Sequence[NextResult | Exception]:
        """One result per request; of several for the same failure one claims the call at most."""
        results: dict[int, NextResult | Exception] = {}
        for _ in range(ROUNDS):
            left = [place for place in range(len(requests)) if place not in results]
            if not left:
                break
            await self._round(requests, left, results)
        contended = StorageUnavailableError("too many ask for the same call at once")
        return [results.get(place, contended) for place in range(len(requests))]

    async def _round(
        self,
        requests: Sequence[NextRequest],
        left: Sequence[int],
        results: dict[int, NextResult | Exception],
    ) -> None:
        """Settle those that are left, but for calls whose late route had to be collected first."""

        async def run(places: Collection[int]) -> dict[int, NextResult | Uncollected]:
            outcomes = await self._sit([requests[place] for place in places])
            return dict(zip(places, outcomes, strict=True))

        async def stuck(places: Collection[int]) -> Collection[int]:
            return await self._stuck(places, requests)

        late: dict[int, Uncollected] = {}
        for place, outcome in (await sparing_locked(left, run, stuck)).items():
            if isinstance(outcome, Uncollected):
                late[place] = outcome
            else:
                results[place] = outcome
        attempts = {each.call_id: each.attempt for each in late.values()}
        fetched = await self._collecting.apart(attempts)
        for place, each in late.items():
            error = fetched[each.call_id]
            if isinstance(error, Exception):
                results[place] = error

    async def refuse(self, refusals: Sequence[Refusal]) -> Sequence[bytes | Exception]:
        """The answers that stand: of each step the one stored first."""

        async def run(places: Collection[int]) -> dict[int, bytes | Exception]:
            return await self._answer({place: refusals[place] for place in places})

        async def stuck(places: Collection[int]) -> Collection[int]:
            return await self._stuck(places, refusals)

        results = await sparing_locked(range(len(refusals)), run, stuck)
        return [results[place] for place in range(len(refusals))]

    async def _stuck(
        self, places: Collection[int], items: Sequence[NextRequest] | Sequence[Refusal]
    ) -> Collection[int]:
        calls = [items[place].call_id for place in places]
        locked = (await find_locked(self._database, calls)).calls
        return [place for place in places if items[place].call_id in locked]

    async def _sit(self, requests: Sequence[NextRequest]) -> Sequence[NextResult | Uncollected]:
        async with impatient(self._database.transaction()) as connection:
            step = await self._lock(connection, requests)
            results = [step.decide(request) for request in requests]
            await _write(connection, step)
            rerouted = await _reroutings(connection, results)
        self._on_usage(step.books.usage)
        return rerouted

    async def _lock(self, connection: Connection, requests: Sequence[NextRequest]) -> NextPass:
        call_ids = sorted({request.call_id for request in requests})
        rows = await connection.fetch(_LOCK, call_ids)
        keys = sorted({(request.call_id, request.attempt) for request in requests})
        steps = await connection.fetch(_STEPS, *columns(keys, 2))
        return NextPass(
            now=rows[0]["now"] if rows else datetime.now(UTC),
            calls={row["call_id"]: LockedCall.load(row) for row in rows},
            steps={
                (row["call_id"], row["attempt"]): Step(row["fingerprint"], row["answer"])
                for row in steps
            },
            books=await lock_books(connection, call_ids),
            unsealed=self._unsealed,
            follows=self._collecting.follows,
            new_epoch=self._new_epoch,
        )

    def _unsealed(self, row: asyncpg.Record) -> Call:
        return unsealed_call(row, self._vault)

    async def _answer(self, refusals: Mapping[int, Refusal]) -> dict[int, bytes | Exception]:
        first: dict[StepKey, bytes] = {}
        for refusal in refusals.values():
            first.setdefault((refusal.call_id, refusal.attempt), refusal.answer)
        rows = [(*key, answer) for key, answer in sorted(first.items())]
        async with impatient(self._database.connection()) as connection:
            stored = await connection.fetch(_ANSWER, *columns(rows, 3))
        answers = {(row["call_id"], row["attempt"]): row["answer"] for row in stored}
        lost = StorageUnavailableError("the request was not kept when the database died")
        return {
            place: answers.get((refusal.call_id, refusal.attempt), lost)
            for place, refusal in refusals.items()
        }


async def _write(connection: Connection, step: NextPass) -> None:
    await step.books.write(connection)
    if step.moved or step.asked:
        calls = [
            (call_id, call.state.value, call.epoch, call.attempt, call.decide_by)
            for call_id, call in sorted(step.calls.items())
            if call_id in step.moved
        ]
        asked = [
            (*key, request.fingerprint, request.reason.value, request.sip_code)
            for key, request in sorted(step.asked.items())
        ]
        await connection.execute(_WRITE, *columns(calls, 5), *columns(asked, 5))
    if step.collected:
        await connection.execute(_COLLECT, *columns(sorted(step.collected), 2))


async def _reroutings(
    connection: Connection, results: Sequence[PassResult]
) -> Sequence[NextResult | Uncollected]:
    """The results with all that a decider needs, where a call was claimed."""
    claimed = {result.call.call_id: result for result in results if isinstance(result, Claimed)}
    items = [
        (call_id, each.attempt, each.row["received_at"], each.row["caller_hash"])
        for call_id, each in sorted(claimed.items())
    ]
    rows = await connection.fetch(_MATERIAL, *columns(items, 4)) if items else []
    material = {row["call_id"]: row for row in rows}
    return [
        _rerouting(result, material[result.call.call_id]) if isinstance(result, Claimed) else result
        for result in results
    ]


def _rerouting(claimed: Claimed, row: asyncpg.Record) -> Rerouting:
    plan = None if row["candidates"] is None else stored_plan(row)
    return Rerouting(
        epoch=claimed.epoch,
        attempt=claimed.attempt,
        call=claimed.call,
        campaign=claimed.row["campaign"],
        tried=claimed.tried,
        candidates=() if plan is None else plan.candidates,
        traces=tuple(row["traces"] or ()),
        past_calls=load_routes(row["routes"]),
        plan=plan if row["attempt"] == claimed.attempt else None,
        suppressed=tuple(row["lists"] or ()),
    )
