"""Storing routes of which something follows at once, with all that does: in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from auction.domain.finishing import Finish
from auction.domain.ids import CallId, OwnerId
from auction.domain.plan import Candidate
from auction.domain.usage import Usage
from storage.accounts import caller_keys, open_accounts
from storage.books import Books, columns
from storage.database import Connection, Database
from storage.decisions import Rows, is_stored, store_decisions
from storage.holds import Hold
from storage.locked import impatient
from storage.outbox import Fact, Outbox
from storage.progress import CallRow, EarnedListener, load_call, tell_earned, write_progress
from storage.queries import query
from storage.routing_pass import ReachedCap, RoutingPass

_LOCK = query("lock_reported")
_NOTE_REACHED = query("note_caps_reached")

_REACHED_COLUMNS: Final = 4


class Routing:
    """Runs batches of such decisions; see ``Finishing`` for the listeners."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None],
        on_earned: EarnedListener,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._on_usage = on_usage
        self._on_earned = on_earned

    async def run(self, finishes: Mapping[CallId, Finish], callers: dict[CallId, int]) -> Rows:
        """What ``finish_calls`` says of each. ``callers`` gets the keys of callers to be locked."""
        async with impatient(self._database.transaction()) as connection:
            locked = await connection.fetch(_LOCK, sorted(finishes))
            now = locked[0]["now"] if locked else datetime.now(UTC)
            rows = await store_decisions(connection, finishes)
            found = [load_call(row) for row in locked if is_stored(rows[row["call_id"]])]
            calls = [replace(call, currency=finishes[call.call_id].currency) for call in found]
            callers.update(caller_keys(calls))
            books, accounts = await open_accounts(connection, calls)
            step = RoutingPass(now, books, accounts, self._outbox)
            step.take_all(_routes(calls, finishes, books))
            await books.write(connection)
            await write_progress(connection, (), accounts.entries)
            news = await _never_told(connection, step.reached)
            await self._outbox.write(connection, [*step.facts, *news])
        self._on_usage(books.usage)
        tell_earned(accounts.entries, {call.call_id: call for call in calls}, self._on_earned)
        return rows


def _routes(
    calls: Sequence[CallRow], finishes: Mapping[CallId, Finish], books: Books
) -> Iterator[tuple[CallRow, Candidate, Hold]]:
    for call in calls:
        finish = finishes[call.call_id]
        hold = books.hold(call.call_id, finish.attempt)
        if hold is not None and finish.candidate is not None:
            yield call, finish.candidate, hold


async def _never_told(connection: Connection, reached: Mapping[ReachedCap, Fact]) -> list[Fact]:
    """The facts about caps of which nobody was told before in their window."""
    if not reached:
        return []
    facts = {cap.key: fact for cap, fact in reached.items()}
    rows = await connection.fetch(_NOTE_REACHED, *columns(sorted(facts), _REACHED_COLUMNS))
    new = {(row["owner"], row["measure"], row["period"], row["window_start"]) for row in rows}
    return [fact for key, fact in facts.items() if key in new]
