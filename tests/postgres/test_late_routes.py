"""Late routes: nothing follows until their switches come back for them, then all does, once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.call import Call
from auction.domain.conversions import Side
from auction.domain.ids import CampaignId, OwnerId
from auction.domain.next_attempt import AlreadyConverted, Rerouting
from auction.domain.opening import AlreadyDecided, Opened
from auction.domain.plan import Candidate
from auction.domain.terms import WebhookEvent
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.callers import caller_key
from storage.database import Connection, Database
from storage.ledger import PostgresLedger
from storage.outbox import Fact
from storage.queries import query
from storage.sweeper import Sweeper
from tests.builders import CAMPAIGN
from tests.ledger_steps import (
    LEASE_OVER,
    LOCK_CALL,
    OFFER_OWNER,
    VAULT,
    a_candidate,
    a_ledger,
    an_opening,
    assert_balanced,
    from_number,
    rewind,
    route,
    today,
    usage_of,
)
from tests.lost_commits import LosingLink
from tests.next_steps import a_failure, reroute, route_next
from tests.patience import patiently
from tests.routing_steps import (
    ALL_TOLD,
    ATTEMPT,
    PAYOUT,
    PER_CALLER,
    Noticing,
    a_call_of,
    entries,
    hold_of,
)

PAID = a_candidate(conversions=(ATTEMPT,), payouts=(PAYOUT,))
PLAIN = a_candidate()
LATE: Mapping[str, Any] = {"late": True, "lease_ms": 5_000, "collected_lease_ms": 85_000}
BOTH_SIDES = [
    ("call-1", "buyer", 1, "routing", Decimal("52.00")),
    ("call-1", "source", 1, "routing", Decimal("8.00")),
]


class Failing(Noticing):
    """Stores nothing of a transaction in which somebody is to be told of something."""

    async def write(self, connection: Connection, facts: Sequence[Fact]) -> None:
        """Fail where there are facts."""
        if facts:
            message = "no room for deliveries"
            raise RuntimeError(message)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


async def state_of(database: Database, call: Call) -> str:
    async with database.connection() as connection:
        state: str = await connection.fetchval(
            "select state from calls where call_id = $1", call.call_id
        )
    return state


async def a_late_next(ledger: PostgresLedger, call: Call, candidate: Candidate) -> bytes:
    """The first attempt is busy, and the second decision comes too late; its answer."""
    await route(ledger, call, a_candidate("busy-auto", buyer="busy", conversions=()))
    return await route_next(ledger, await reroute(ledger, call), candidate, **LATE)


async def test_nothing_follows_from_a_late_route_until_its_switch_comes_back(
    database: Database,
) -> None:
    outbox, call = Noticing(*ALL_TOLD), a_call_of()
    earned: list[tuple[object, ...]] = []
    seen: list[Mapping[OwnerId, Usage]] = []
    ledger = a_ledger(
        database,
        outbox=outbox,
        on_usage=seen.append,
        on_earned=lambda *each: earned.append(each),
    )
    await route(ledger, call, PAID, **LATE, answer=b"late")
    assert (await entries(database), outbox.facts, earned) == ([], [], [])
    assert today(await usage_of(database)) == ((1, 0, 0, 0), (0, 1, 1, 520_000))
    for _ in range(2):
        assert await ledger.open(an_opening(call)) == AlreadyDecided(b"late")
    assert await entries(database) == BOTH_SIDES
    assert [fact.event for fact in outbox.facts] == [
        WebhookEvent.CALL_ROUTED,
        WebhookEvent.CALL_CONVERTED,
        WebhookEvent.CALL_CONVERTED,
    ]
    assert [fact.buyer for fact in outbox.facts] == ["acme", "acme", None]
    assert earned == [
        (CAMPAIGN, "USD", Side.BUYER, Decimal("52.00")),
        (CAMPAIGN, "USD", Side.SOURCE, Decimal("8.00")),
    ]
    assert today(seen[-1][OFFER_OWNER]) == ((1, 0, 1, 520_000), (0, 1, 0, 0))
    hold = await hold_of(database)
    assert hold["converted_at"] is not None
    assert hold["paid_at"] is not None
    assert 60 < (hold["lease_until"] - hold["now"]).total_seconds() <= 85
    assert await state_of(database, call) == "routed"
    await assert_balanced(database)


async def test_a_late_further_route_is_sold_when_it_is_asked_for_again(database: Database) -> None:
    outbox, call = Noticing(*ALL_TOLD), a_call_of()
    ledger = a_ledger(database, outbox=outbox)
    answer = await a_late_next(ledger, call, PAID)
    assert await ledger.open(an_opening(call)) != AlreadyDecided(answer)
    assert await entries(database) == []
    repeats = (patiently(lambda: ledger.open_next(a_failure(call))) for _ in range(4))
    assert set(await asyncio.gather(*repeats)) == {AlreadyDecided(answer)}
    assert [each[1:4] for each in await entries(database)] == [
        ("buyer", 2, "routing"),
        ("source", 2, "routing"),
    ]
    assert [told["attempt"] for told in outbox.told(WebhookEvent.CALL_ROUTED)] == [1, 2]
    hold = await hold_of(database, 2)
    assert 60 < (hold["lease_until"] - hold["now"]).total_seconds() <= 85
    assert await state_of(database, call) == "routed"
    await assert_balanced(database)


@pytest.mark.parametrize("fetched", [False, True])
async def test_after_a_late_route_that_is_paid_by_the_attempt_there_is_no_further_one(
    database: Database, ledger: PostgresLedger, fetched: bool
) -> None:
    call = a_call_of()
    await route(ledger, call, PAID, **LATE)
    if fetched:
        await ledger.open(an_opening(call))
    failed = await ledger.open_next(a_failure(call))
    assert failed == AlreadyConverted(2, call, CampaignId(CAMPAIGN))
    assert await entries(database) == BOTH_SIDES
    assert (await usage_of(database)).live == 0
    await assert_balanced(database)


async def test_a_late_route_that_failed_unfetched_was_one_to_tell_of(database: Database) -> None:
    outbox, call = Noticing(WebhookEvent.CALL_ROUTED), a_call_of()
    ledger = a_ledger(database, outbox=outbox)
    await route(ledger, call, PLAIN, **LATE)
    assert isinstance(await ledger.open_next(a_failure(call)), Rerouting)
    assert outbox.told(WebhookEvent.CALL_ROUTED) == [{"attempt": 1}]
    assert (await usage_of(database)).live == 0
    await assert_balanced(database)


async def test_a_late_route_that_nobody_fetched_earns_nothing(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_call_of()
    await route(ledger, call, PAID, **LATE)
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    assert isinstance(await ledger.open(an_opening(call)), Opened)
    assert await entries(database) == []


async def test_a_late_test_call_is_told_of_but_books_nothing(database: Database) -> None:
    outbox, call = Noticing(*ALL_TOLD), a_call_of(test=True)
    ledger = a_ledger(database, outbox=outbox)
    await route(ledger, call, a_candidate(conversions=(ATTEMPT,), owners=()), **LATE)
    assert isinstance(await ledger.open(an_opening(call)), AlreadyDecided)
    assert [fact.event for fact in outbox.facts] == [WebhookEvent.CALL_ROUTED]
    assert (await entries(database), await state_of(database, call)) == ([], "routed")


async def test_collecting_of_which_nothing_follows_is_one_statement(
    dsn: str, ledger: PostgresLedger
) -> None:
    one = await Database.connect(dsn, max_size=1)
    outbox = Noticing(WebhookEvent.CALL_ANSWERED, WebhookEvent.CAP_REACHED)
    far = a_ledger(one, outbox=outbox)
    calls = [a_call_of("plain"), a_call_of("test", test=True)]
    await route(ledger, calls[0], PLAIN, **LATE)
    await route(ledger, calls[1], a_candidate(conversions=(ATTEMPT,), owners=()), **LATE)
    # asyncpg asks for the types of a statement that a connection has not seen before.
    async with one.connection() as connection:
        await connection.fetch(query("collect_late"), [])
    await far.open(an_opening(a_call_of("other", caller=from_number(1))))
    statements: list[str] = []
    async with one.connection() as connection:
        connection.add_query_logger(lambda record: statements.append(record.query))
    results = await asyncio.gather(*(far.open(an_opening(call)) for call in calls))
    assert all(isinstance(result, AlreadyDecided) for result in results)
    assert set(statements) == {query("open_calls"), query("collect_late")}
    await one.close()


async def test_a_collection_whose_commit_nobody_heard_of_is_booked_once(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    link = LosingLink(dsn)
    far = await Database.connect(await link.start())
    call = a_call_of()
    await route(ledger, call, PAID, **LATE, answer=b"late")
    link.lose_next_commit()
    with pytest.raises(StorageUnavailableError):
        await a_ledger(far).open(an_opening(call))
    assert link.lost == 1
    assert await ledger.open(an_opening(call)) == AlreadyDecided(b"late")
    assert await entries(database) == BOTH_SIDES
    await far.close()
    await link.stop()


@pytest.mark.parametrize("after_failure", [False, True])
async def test_what_can_not_be_told_is_not_collected(
    database: Database, ledger: PostgresLedger, after_failure: bool
) -> None:
    call, failing = a_call_of(), a_ledger(database, outbox=Failing(*ALL_TOLD))
    if after_failure:
        await a_late_next(ledger, call, PAID)
    else:
        await route(ledger, call, PAID, **LATE)
    ask = failing.open_next(a_failure(call)) if after_failure else failing.open(an_opening(call))
    with pytest.raises(RuntimeError, match="deliveries"):
        await ask
    assert (await entries(database), await state_of(database, call)) == ([], "late")
    await assert_balanced(database)


async def test_a_collection_that_fails_takes_no_other_with_it(
    database: Database, ledger: PostgresLedger
) -> None:
    calls = [a_call_of(f"call-{number}") for number in range(3)]
    for number, call in enumerate(calls):
        await route(ledger, call, a_candidate(f"offer-{number}", conversions=(ATTEMPT,)), **LATE)
    async with database.connection() as connection:
        await connection.execute("delete from usage_counters where owner = 'offer:offer-1'")
    asked = (ledger.open(an_opening(call)) for call in calls)
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results.pop(1), KeyError)
    assert all(isinstance(result, AlreadyDecided) for result in results)
    assert [await state_of(database, call) for call in calls] == ["routed", "late", "routed"]


@pytest.mark.parametrize("locked", ["call", "caller"])
async def test_what_somebody_keeps_locked_fails_alone(
    database: Database, ledger: PostgresLedger, locked: str
) -> None:
    calls = [a_call_of(f"call-{number}", caller=from_number(number)) for number in range(3)]
    for call in calls:
        await route(ledger, call, a_candidate(conversions=(PER_CALLER,)), **LATE)
    caller = VAULT.hash(calls[1].caller.number)
    assert caller is not None
    lock: tuple[str, object] = (LOCK_CALL, calls[1].call_id)
    if locked == "caller":
        lock = ("select pg_advisory_xact_lock($1)", caller_key(caller))
    async with database.transaction() as connection:
        await connection.execute(*lock)
        asked = (ledger.open(an_opening(call)) for call in calls)
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results.pop(1), StorageUnavailableError)
    assert all(isinstance(result, AlreadyDecided) for result in results)
    assert isinstance(await ledger.open(an_opening(calls[1])), AlreadyDecided)
    assert len(await entries(database)) == 3
    await assert_balanced(database)


@pytest.mark.parametrize("after_failure", [False, True])
async def test_switches_that_come_back_at_once_book_each_caller_once(
    dsn: str, ledger: PostgresLedger, after_failure: bool
) -> None:
    databases = [await Database.connect(dsn) for _ in range(2)]
    ledgers = [a_ledger(each) for each in databases]
    for number in range(8):
        calls = [a_call_of(f"{number}-{each}", caller=from_number(number)) for each in range(2)]
        for call in calls:
            candidate = a_candidate(conversions=(PER_CALLER,))
            if after_failure:
                await a_late_next(ledger, call, candidate)
            else:
                await route(ledger, call, candidate, **LATE)
        ask: Callable[[PostgresLedger, Call], Any] = (
            (lambda each, call: each.open_next(a_failure(call)))
            if after_failure
            else (lambda each, call: each.open(an_opening(call)))
        )
        results = await asyncio.gather(
            *(patiently(partial(ask, each, call)) for each in ledgers for call in calls)
        )
        assert all(isinstance(result, AlreadyDecided) for result in results)
    assert len(await entries(databases[0])) == 8
    await assert_balanced(databases[0])
    for database in databases:
        await database.close()
