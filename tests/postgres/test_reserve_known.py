"""Reserving by what is known: one statement where nothing has changed, and exact where it has."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest

from auction.domain.ids import OwnerId
from auction.domain.reasons import Reason
from auction.domain.reserving import NothingFits, Reserved
from auction.domain.terms import DuplicateAfter, DuplicateRule, DuplicateScope
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.books import Known
from storage.callers import caller_key
from storage.database import Connection, Database
from storage.reserve_pass import Item, assumed
from tests.ledger_steps import (
    BUYER_OWNER,
    OFFER_OWNER,
    VAULT,
    a_candidate,
    a_ledger,
    a_recent_call,
    a_request,
    all_usage,
    assert_balanced,
    daily_calls,
    from_number,
    limits,
    open_call,
    reserve,
    usage_of,
)

NO_REPEATS = DuplicateRule(30, DuplicateAfter.ROUTED, DuplicateScope.OFFER)


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each transaction of several statements from now on."""
    begun: list[str] = []
    original = Database.transaction

    def counted(database: Database) -> AbstractAsyncContextManager[Connection]:
        begun.append("begin")
        return original(database)

    monkeypatch.setattr(Database, "transaction", counted)
    return begun


async def test_a_reserve_on_usage_that_is_known_takes_one_statement(
    database: Database, transactions: list[str]
) -> None:
    ledger = a_ledger(database)
    await reserve(ledger, a_recent_call("call-1"))
    transactions.clear()
    assert await reserve(ledger, a_recent_call("call-2")) == 0
    assert transactions == []
    usage = await assert_balanced(database)
    assert usage[OFFER_OWNER].live == usage[BUYER_OWNER].live == 2


async def test_usage_that_another_has_changed_is_learnt_and_decided_by(
    database: Database, transactions: list[str]
) -> None:
    ours, others = a_ledger(database), a_ledger(database)
    for number, ledger in enumerate((ours, others, others)):
        await reserve(ledger, a_recent_call(f"call-{number}"))
    transactions.clear()
    assert await reserve(ours, a_recent_call("call-9")) == 0
    assert transactions == []
    assert (await assert_balanced(database))[OFFER_OWNER].live == 4


async def test_the_last_place_that_another_has_taken_meanwhile_is_not_given_again(
    database: Database,
) -> None:
    roomy = a_candidate(offer_limits=limits(OFFER_OWNER, daily_calls(2)))
    ours, others = a_ledger(database), a_ledger(database)
    await reserve(ours, a_recent_call("call-1"), roomy)
    await reserve(others, a_recent_call("call-2"), roomy)
    call = a_recent_call("call-3")
    await open_call(ours, call)
    refused = await ours.reserve(a_request(call, roomy))
    assert refused == NothingFits(((0, Reason.CAP_REACHED),))
    assert (await assert_balanced(database))[OFFER_OWNER].live == 2


async def test_a_place_that_has_become_free_without_our_knowing_is_found(
    database: Database,
) -> None:
    single = a_candidate(offer_limits=limits(OFFER_OWNER, concurrency=1))
    seen = await _usage_when_one_is_live(database)
    ledger = a_ledger(database, known_usage=lambda: seen)
    assert await reserve(ledger, a_recent_call("call-2"), single) == 0


async def _usage_when_one_is_live(database: Database) -> dict[OwnerId, Usage]:
    await reserve(a_ledger(database), a_recent_call("call-1"))
    seen = await all_usage(database)
    async with database.connection() as connection:
        await connection.execute("update usage_counters set counters = array_fill(0, array[64])")
        await connection.execute("delete from reservations")
    return seen


async def test_a_caller_whom_another_route_has_reached_meanwhile_is_a_duplicate(
    database: Database,
) -> None:
    strict = a_candidate(duplicates=NO_REPEATS)
    ours, others = a_ledger(database), a_ledger(database)
    await reserve(ours, a_recent_call("call-1", caller=from_number(1)), strict)
    late = a_recent_call("call-2", caller=from_number(2))
    await open_call(ours, late)
    await reserve(others, a_recent_call("call-3", caller=from_number(2)), strict)
    seen = await all_usage(database)
    knowing = a_ledger(database, known_usage=lambda: seen)
    refused = await knowing.reserve(a_request(late, strict))
    assert refused == NothingFits(((0, Reason.DUPLICATE_CALLER),))


async def test_a_caller_whom_another_decider_looks_at_is_waited_for(database: Database) -> None:
    strict, ledger = a_candidate(duplicates=NO_REPEATS), a_ledger(database)
    await reserve(ledger, a_recent_call("call-1", caller=from_number(1)), strict)
    call = a_recent_call("call-2", caller=from_number(2))
    await open_call(ledger, call)
    key = caller_key(VAULT.hash_number("+13105550002"))
    async with database.transaction() as other:
        await other.execute("select pg_advisory_xact_lock($1)", key)
        with pytest.raises(StorageUnavailableError, match="locked"):
            await ledger.reserve(a_request(call, strict))
    assert await ledger.reserve(a_request(call, strict)) == Reserved(0, ())


async def test_two_calls_of_a_new_caller_in_one_batch_are_one_route_and_one_duplicate(
    database: Database,
) -> None:
    strict = a_candidate(duplicates=NO_REPEATS)
    ledger = a_ledger(database)
    await reserve(ledger, a_recent_call("call-1"), strict)
    calls = [a_recent_call(f"call-{n}", caller=from_number(7)) for n in (2, 3)]
    for call in calls:
        await open_call(ledger, call)
    results = await asyncio.gather(*(ledger.reserve(a_request(call, strict)) for call in calls))
    assert {type(result) for result in results} == {Reserved, NothingFits}


async def test_ledgers_that_know_little_of_each_other_never_exceed_a_cap(
    database: Database,
) -> None:
    limited = a_candidate(offer_limits=limits(OFFER_OWNER, daily_calls(25), concurrency=20))
    ledgers = [a_ledger(database) for _ in range(4)]
    calls = [a_recent_call(f"call-{number}") for number in range(60)]

    async def sell(number: int) -> object:
        ledger = ledgers[number % 4]
        await open_call(ledger, calls[number])
        return await ledger.reserve(a_request(calls[number], limited))

    results = await asyncio.gather(*map(sell, range(60)))
    assert sum(isinstance(result, Reserved) for result in results) == 20
    assert (await assert_balanced(database))[OFFER_OWNER].live == 20


async def test_a_lease_counts_from_the_databases_now_whatever_our_clock_says(
    database: Database,
) -> None:
    ledger = a_ledger(database)
    await reserve(ledger, a_recent_call("call-1"))
    call, usage = a_recent_call("call-2"), await all_usage(database)
    await open_call(ledger, call)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    step = assumed([Item(0, a_request(call), None)], usage, an_hour_ago)
    known = Known([(call.call_id, 1, call.received_at)], (), usage, an_hour_ago)
    async with database.connection() as connection:
        assert await step.books.write_if(connection, [*step.plans.values()], known) is None
        (left,) = await connection.fetch(
            "select lease_until - now() as lease, sweep_at - lease_until as sweep"
            " from reservations where call_id = 'call-2'"
        )
    assert timedelta(seconds=50) < left["lease"] <= timedelta(seconds=60)
    assert left["sweep"] == timedelta(0)


@pytest.mark.parametrize(
    "changed",
    [
        "update calls set epoch = epoch + 1",
        "update calls set state = 'decided'",
        "update calls set received_at = received_at - interval '1 second'",
        "delete from calls",
        "update usage_counters set counters[1] = 7",
        "delete from usage_counters where owner = 'buyer:acme'",
    ],
)
async def test_nothing_is_stored_when_anything_is_not_as_known(
    database: Database, changed: str
) -> None:
    ledger, call = a_ledger(database), a_recent_call("call-2")
    await reserve(ledger, a_recent_call("call-1"))
    usage = await all_usage(database)
    await open_call(ledger, call)
    now = datetime.now(UTC)
    step = assumed([Item(0, a_request(call), None)], usage, now)
    known = Known([(call.call_id, 1, call.received_at)], (), usage, now)
    async with database.connection() as connection:
        await connection.execute(changed)
        before = await connection.fetch("select * from usage_counters order by owner")
        other = await step.books.write_if(connection, [*step.plans.values()], known)
        assert other is not None
        assert bool(other) == ("counters[1]" in changed)
        assert await connection.fetch("select * from usage_counters order by owner") == before
        assert await connection.fetchval("select count(*) from reservations") == 1
        assert await connection.fetchval("select count(*) from plans") == 1


async def test_a_call_that_holds_already_is_not_held_for_again(database: Database) -> None:
    ledger, call = a_ledger(database), a_recent_call("call-1")
    await reserve(ledger, call)
    assert await ledger.reserve(a_request(call)) == Reserved(0, ())
    assert (await usage_of(database)).live == 1
    await assert_balanced(database)
