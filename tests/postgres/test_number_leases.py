"""Numbers of pools are lent to one visitor at a time, and their tags join the calls that arrive."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from auction.domain.ids import PoolId, SourceId
from auction.domain.leases import Exhausted, Leased, LeaseRequest
from auction.domain.numbers import PoolTerms
from auction.domain.opening import KnownAs, Opened
from storage.database import Database
from storage.ledger import PostgresLedger
from storage.number_leases import NumberLeases
from storage.records import CallRecords
from tests.lease_steps import a_pool, a_visitor, end_call, pass_time
from tests.ledger_steps import CLAIM_OVER, VAULT, a_ledger, a_recent_call, an_opening, rewind

ONE, TWO, THREE = "+18005550201", "+18005550202", "+18005550203"
NO_LIMITS: dict[SourceId, int] = {}


@pytest.fixture
def leases(database: Database) -> NumberLeases:
    return NumberLeases(database, VAULT)


@pytest_asyncio.fixture
async def ledger(database: Database) -> AsyncIterator[PostgresLedger]:
    ledger = a_ledger(database)
    yield ledger
    await ledger.close()


async def lent(leases: NumberLeases, pool: PoolTerms, request: LeaseRequest) -> str:
    """The visitor's number."""
    leased = await leases.lease(pool, request, NO_LIMITS)
    assert isinstance(leased, Leased)
    return leased.number


async def called(ledger: PostgresLedger, pool: PoolTerms, number: str, call_id: str) -> Opened:
    """A call comes in."""
    call = a_recent_call(call_id, dialed_number=number, source=None, fields={"zip_code": "90210"})
    opened = await ledger.open(an_opening(call, pool=pool))
    assert isinstance(opened, Opened)
    return opened


async def test_one_session_has_one_number_and_two_sessions_have_two(leases: NumberLeases) -> None:
    pool = a_pool(ONE, TWO)
    first = await lent(leases, pool, a_visitor("ann"))
    second = await lent(leases, pool, a_visitor("bob"))
    assert {first, second} == {ONE, TWO}
    assert await lent(leases, pool, a_visitor("ann")) == first


async def test_the_number_unused_for_longest_is_lent_first(
    leases: NumberLeases, database: Database
) -> None:
    pool = a_pool(ONE, TWO, THREE)
    assert [await lent(leases, pool, a_visitor(each)) for each in "abc"] == [ONE, TWO, THREE]
    for session in "bac":
        await pass_time(database, 1)
        assert await leases.give_back(pool, session)
    assert [await lent(leases, pool, a_visitor(each)) for each in "def"] == [TWO, ONE, THREE]


async def test_an_exhausted_pool_lends_again_after_lease_and_grace(
    leases: NumberLeases, database: Database
) -> None:
    pool = a_pool(ONE)
    await lent(leases, pool, a_visitor("ann"))
    await pass_time(database, 65)
    assert await leases.lease(pool, a_visitor("bob"), NO_LIMITS) is Exhausted.POOL
    await pass_time(database, 6)
    assert await lent(leases, pool, a_visitor("bob")) == ONE


async def test_heartbeats_keep_a_number_until_its_lease_is_over(
    leases: NumberLeases, database: Database
) -> None:
    pool = a_pool(ONE)
    await lent(leases, pool, a_visitor("ann"))
    for _ in range(4):
        await pass_time(database, 38)
        kept = await leases.heartbeat(pool, "ann")
        assert kept is not None
        assert kept.number == ONE
    await pass_time(database, 45)
    assert await leases.heartbeat(pool, "ann") is None
    assert await leases.heartbeat(pool, "bob") is None
    assert await lent(leases, pool, a_visitor("bob")) == ONE


async def test_a_number_given_back_is_free_and_its_calls_get_no_tags(
    leases: NumberLeases, ledger: PostgresLedger
) -> None:
    pool = a_pool(ONE)
    await lent(leases, pool, a_visitor("ann", keyword="cheap"))
    assert await leases.give_back(pool, "ann")
    assert not await leases.give_back(pool, "ann")
    assert (await called(ledger, pool, ONE, "call-1")).known_as is None
    assert await lent(leases, pool, a_visitor("bob")) == ONE


async def test_tags_and_source_of_the_lease_join_the_call_and_its_record(
    leases: NumberLeases, ledger: PostgresLedger, database: Database
) -> None:
    pool = a_pool(ONE, source=SourceId("pub-1"))
    await lent(leases, pool, a_visitor("ann", source="pub-2", keyword="cheap", zip_code="10001"))
    opened = await called(ledger, pool, ONE, "call-1")
    fields = {"keyword": "cheap", "zip_code": "90210"}
    assert opened.known_as == KnownAs(SourceId("pub-2"), fields)
    record = await CallRecords(database, VAULT).get_call(a_recent_call("call-1").call_id)
    assert record is not None
    assert (record.call.source, dict(record.call.fields)) == ("pub-2", fields)


async def test_a_visitor_who_says_nothing_of_tags_keeps_them_and_may_take_them_away(
    leases: NumberLeases, ledger: PostgresLedger
) -> None:
    pool, silent = a_pool(ONE), replace(a_visitor("ann"), tags=None)
    await lent(leases, pool, a_visitor("ann", keyword="cheap"))
    assert await lent(leases, pool, silent) == ONE
    kept = await called(ledger, pool, ONE, "call-1")
    assert kept.known_as == KnownAs(None, {"keyword": "cheap", "zip_code": "90210"})
    await lent(leases, pool, a_visitor("ann"))
    assert (await called(ledger, pool, ONE, "call-2")).known_as is None


async def test_the_next_visitor_gets_nothing_of_the_one_before(
    leases: NumberLeases, ledger: PostgresLedger
) -> None:
    pool, silent = a_pool(ONE), replace(a_visitor("bob"), tags=None)
    await lent(leases, pool, a_visitor("ann", keyword="cheap"))
    await leases.give_back(pool, "ann")
    assert await lent(leases, pool, silent) == ONE
    assert (await called(ledger, pool, ONE, "call-1")).known_as is None


async def test_without_a_lease_the_call_has_the_source_of_its_pool(ledger: PostgresLedger) -> None:
    opened = await called(ledger, a_pool(ONE, source=SourceId("pub-1")), ONE, "call-1")
    assert opened.known_as == KnownAs(SourceId("pub-1"), {"zip_code": "90210"})


async def test_a_call_taken_over_keeps_the_tags_that_it_came_in_with(
    leases: NumberLeases, ledger: PostgresLedger, database: Database
) -> None:
    pool = a_pool(ONE)
    await lent(leases, pool, a_visitor("ann", keyword="cheap"))
    first = await called(ledger, pool, ONE, "call-1")
    await rewind(database, CLAIM_OVER, [a_recent_call("call-1").call_id])
    await lent(leases, pool, a_visitor("ann", keyword="dear"))
    again = await called(ledger, pool, ONE, "call-1")
    assert again.epoch > first.epoch
    assert again.known_as == first.known_as


async def test_a_number_is_recycled_after_the_call_on_it_has_ended(
    leases: NumberLeases, ledger: PostgresLedger, database: Database
) -> None:
    pool = a_pool(ONE, lease_s=3600)
    await lent(leases, pool, a_visitor("ann"))
    await called(ledger, pool, ONE, "call-1")
    await end_call(database, "call-1")
    await pass_time(database, 9)
    assert await leases.lease(pool, a_visitor("bob"), NO_LIMITS) is Exhausted.POOL
    await pass_time(database, 2)
    assert await lent(leases, pool, a_visitor("bob")) == ONE


async def test_a_visitor_who_stays_after_the_call_keeps_the_number(
    leases: NumberLeases, ledger: PostgresLedger, database: Database
) -> None:
    pool = a_pool(ONE, lease_s=3600)
    await lent(leases, pool, a_visitor("ann"))
    await called(ledger, pool, ONE, "call-1")
    await end_call(database, "call-1")
    await pass_time(database, 9)
    assert await leases.heartbeat(pool, "ann") is not None
    await pass_time(database, 9)
    assert await leases.lease(pool, a_visitor("bob"), NO_LIMITS) is Exhausted.POOL
    await pass_time(database, 2)
    assert await lent(leases, pool, a_visitor("bob")) == ONE


async def test_a_number_is_not_recycled_while_a_call_on_it_goes_on(
    leases: NumberLeases, ledger: PostgresLedger, database: Database
) -> None:
    pool = a_pool(ONE)
    await lent(leases, pool, a_visitor("ann"))
    await called(ledger, pool, ONE, "call-1")
    await pass_time(database, 3600)
    assert await leases.lease(pool, a_visitor("bob"), NO_LIMITS) is Exhausted.POOL
    await leases.forget()
    assert await lent(leases, pool, a_visitor("ann")) == ONE


async def test_a_number_given_back_during_a_call_is_lent_again_once_that_is_over(
    leases: NumberLeases, ledger: PostgresLedger, database: Database
) -> None:
    pool = a_pool(ONE)
    await lent(leases, pool, a_visitor("ann"))
    await called(ledger, pool, ONE, "call-1")
    assert await leases.give_back(pool, "ann")
    assert await leases.heartbeat(pool, "ann") is None
    assert await leases.lease(pool, a_visitor("bob"), NO_LIMITS) is Exhausted.POOL
    await end_call(database, "call-1")
    assert await lent(leases, pool, a_visitor("bob")) == ONE


async def test_a_pool_lends_no_more_numbers_than_its_cap(leases: NumberLeases) -> None:
    pool = a_pool(ONE, TWO, cap=1)
    await lent(leases, pool, a_visitor("ann"))
    assert await leases.lease(pool, a_visitor("bob"), NO_LIMITS) is Exhausted.POOL_CAP
    assert await lent(leases, pool, a_visitor("ann")) == ONE


async def test_retreaver_a_source_has_no_more_numbers_than_its_static_cap(
    leases: NumberLeases,
) -> None:
    pool, lendable = a_pool(ONE, TWO, THREE), {SourceId("pub-1"): 1}
    first = await leases.lease(pool, a_visitor("ann", source="pub-1"), lendable)
    second = await leases.lease(pool, a_visitor("bob", source="pub-1"), lendable)
    third = await leases.lease(pool, a_visitor("eve", source="pub-2"), lendable)
    assert isinstance(first, Leased)
    assert second is Exhausted.SOURCE_CAP
    assert isinstance(third, Leased)


async def test_a_number_that_moves_to_another_pool_is_lent_anew(leases: NumberLeases) -> None:
    pool = a_pool(ONE, TWO)
    number = await lent(leases, pool, a_visitor("ann"))
    smaller = a_pool(*{ONE, TWO} - {number})
    assert await lent(leases, smaller, a_visitor("ann")) in smaller.numbers
    assert await leases.heartbeat(pool, "ann") is not None


async def test_a_number_that_changes_its_pool_stays_its_visitors_until_the_lease_is_over(
    leases: NumberLeases, database: Database, ledger: PostgresLedger
) -> None:
    await lent(leases, a_pool(ONE, TWO), a_visitor("ann", keyword="cheap"))
    await lent(leases, a_pool(ONE, TWO), a_visitor("bob", keyword="dear"))
    other = replace(a_pool(ONE, TWO), id=PoolId("other"))
    assert await leases.lease(other, a_visitor("eve"), NO_LIMITS) is Exhausted.POOL
    opened = await called(ledger, other, ONE, "1@s")
    assert opened.known_as is not None
    assert opened.known_as.fields["keyword"] == "cheap"
    await end_call(database, "1@s")
    await pass_time(database, 71)
    assert await lent(leases, other, a_visitor("eve")) in {ONE, TWO}


async def test_a_visitor_may_lose_several_numbers_one_after_the_other(
    leases: NumberLeases,
) -> None:
    for number in (ONE, TWO):
        assert await lent(leases, a_pool(number), a_visitor("ann")) == number
    assert await leases.lease(a_pool(), a_visitor("ann"), NO_LIMITS) is Exhausted.POOL


async def test_tags_are_forgotten_once_their_lease_is_over(
    leases: NumberLeases, database: Database
) -> None:
    pool = a_pool(ONE, TWO)
    await lent(leases, pool, a_visitor("ann", keyword="cheap"))
    await pass_time(database, 71)
    await lent(leases, pool, a_visitor("bob", keyword="dear"))
    await leases.forget()
    async with database.connection() as connection:
        kept = await connection.fetch("select number from number_leases where sealed is not null")
    assert [row["number"] for row in kept] == [TWO]


async def test_a_hundred_visitors_at_once_for_thirty_numbers_get_one_each(dsn: str) -> None:
    numbers = [f"+180055503{n:02}" for n in range(30)]
    pool = a_pool(*numbers)
    databases = [await Database.connect(dsn, max_size=4) for _ in range(3)]
    workers = [NumberLeases(each, VAULT) for each in databases]
    asked = [
        workers[turn % 3].lease(pool, a_visitor(f"visitor-{turn % 100}"), NO_LIMITS)
        for turn in range(200)
    ]
    answers = await asyncio.gather(*asked)
    for each in databases:
        await each.close()
    by_session: dict[int, set[str]] = {}
    for turn, answer in enumerate(answers):
        if isinstance(answer, Leased):
            by_session.setdefault(turn % 100, set()).add(answer.number)
    assert all(len(each) == 1 for each in by_session.values())
    held = [number for each in by_session.values() for number in each]
    assert sorted(held) == numbers


async def test_a_cap_holds_however_many_ask_at_once(dsn: str) -> None:
    pool = a_pool(*(f"+180055503{n:02}" for n in range(30)), cap=7)
    databases = [await Database.connect(dsn, max_size=4) for _ in range(2)]
    workers = [NumberLeases(each, VAULT) for each in databases]
    asked = [workers[n % 2].lease(pool, a_visitor(f"v-{n}"), NO_LIMITS) for n in range(40)]
    answers = await asyncio.gather(*asked)
    for each in databases:
        await each.close()
    assert sum(isinstance(each, Leased) for each in answers) == 7


async def test_a_number_that_a_pool_has_no_more_is_lent_to_nobody(leases: NumberLeases) -> None:
    await lent(leases, a_pool(ONE, TWO), a_visitor("ann"))
    smaller = a_pool(TWO)
    assert await lent(leases, smaller, a_visitor("bob")) == TWO
    assert await leases.lease(smaller, a_visitor("eve"), NO_LIMITS) is Exhausted.POOL
    assert await leases.heartbeat(smaller, "ann") is None
