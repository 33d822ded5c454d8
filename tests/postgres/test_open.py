"""Claiming calls: who decides, who waits, who gets the stored answer."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.call import Caller
from auction.domain.finishing import Finished
from auction.domain.ids import OfferId, offer_owner
from auction.domain.opening import AlreadyDecided, BeingDecided, Opened, OtherContent
from auction.domain.plan import StoredPlan
from auction.domain.reserving import Reserved
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.ledger import PostgresLedger
from storage.queries import query
from storage.sweeper import Sweeper
from tests.eventually import eventually
from tests.ledger_steps import (
    CLAIM_OVER,
    LEASE_OVER,
    LOCK_CALL,
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    an_opening,
    from_number,
    open_call,
    reserve,
    rewind,
    route,
    usage_of,
)
from tests.waiting import someone_waits


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


async def test_a_new_call_is_ours_to_decide(ledger: PostgresLedger) -> None:
    assert await ledger.open(an_opening(a_recent_call())) == Opened(epoch=1)


async def test_a_repeat_waits_while_the_call_is_being_decided(ledger: PostgresLedger) -> None:
    opening = an_opening(a_recent_call(), decide_within_ms=5_000)
    await ledger.open(opening)
    waits = await ledger.open(opening)
    assert isinstance(waits, BeingDecided)
    assert 1 <= waits.wait_ms <= 5_000


async def test_a_repeat_of_a_decided_call_gets_its_answer_byte_for_byte(
    ledger: PostgresLedger,
) -> None:
    call = a_recent_call()
    await route(ledger, call, answer=b'{ "odd":  "bytes" }')
    assert await ledger.open(an_opening(call)) == AlreadyDecided(b'{ "odd":  "bytes" }')


@pytest.mark.parametrize("decided", [False, True])
async def test_the_same_id_with_other_content_is_told_apart(
    ledger: PostgresLedger, decided: bool
) -> None:
    call = a_recent_call()
    await (route(ledger, call) if decided else open_call(ledger, call))
    assert await ledger.open(an_opening(call, fingerprint=b"other")) == OtherContent()


async def test_of_repeats_in_one_batch_one_decides(ledger: PostgresLedger) -> None:
    call = a_recent_call()
    same, other = an_opening(call), an_opening(call, fingerprint=b"other")
    results = await asyncio.gather(*(ledger.open(each) for each in (same, same, other, same)))
    assert results[0] == Opened(epoch=1)
    assert isinstance(results[1], BeingDecided)
    assert results[2] == OtherContent()
    assert isinstance(results[3], BeingDecided)


async def test_of_repeats_on_many_workers_one_decides(dsn: str) -> None:
    databases = [await Database.connect(dsn) for _ in range(5)]
    ledgers = [a_ledger(database) for database in databases]
    calls = [a_recent_call(f"call-{number}") for number in range(20)]
    for call in calls:
        opened = await asyncio.gather(*(each.open(an_opening(call)) for each in ledgers))
        assert sum(isinstance(each, Opened) for each in opened) == 1
        assert sum(isinstance(each, BeingDecided) for each in opened) == 4
    for database in databases:
        await database.close()


async def test_a_call_whose_decider_died_is_taken_over_by_one_of_ten(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    await rewind(database, CLAIM_OVER, [call.call_id])
    databases = [await Database.connect(dsn) for _ in range(10)]
    retry = an_opening(replace(call, received_at=datetime.now(UTC) + timedelta(seconds=3)))
    results = await asyncio.gather(*(a_ledger(each).open(retry) for each in databases))
    opened = [each for each in results if isinstance(each, Opened)]
    assert opened == [Opened(epoch=2, received_at=call.received_at)]
    assert sum(isinstance(each, BeingDecided) for each in results) == 9
    for each in databases:
        await each.close()


async def test_a_take_over_needs_the_same_content(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    await rewind(database, CLAIM_OVER, [call.call_id])
    assert await ledger.open(an_opening(call, fingerprint=b"other")) == OtherContent()


async def test_who_takes_over_gets_the_plan_and_what_it_holds(
    database: Database, ledger: PostgresLedger
) -> None:
    call, plan = a_recent_call(), (a_candidate(), a_candidate("beacon-auto", buyer="beacon"))
    await open_call(ledger, call)
    await ledger.reserve(a_request(call, *plan, trace=b"pinged"))
    await rewind(database, CLAIM_OVER, [call.call_id])
    taken = await ledger.open(an_opening(call))
    assert isinstance(taken, Opened)
    assert taken.epoch == 2
    assert taken.plan == StoredPlan(plan, 0, b"pinged", call.received_at)


async def test_who_takes_over_a_plan_that_holds_nothing_is_told_so(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    await ledger.reserve(a_request(call, a_candidate(), start=1))
    await rewind(database, CLAIM_OVER, [call.call_id])
    taken = await ledger.open(an_opening(call))
    assert isinstance(taken, Opened)
    assert taken.plan is not None
    assert taken.plan.position is None


async def test_the_terms_of_a_stored_plan_keep_their_revision(
    database: Database, ledger: PostgresLedger
) -> None:
    planned, bare = a_recent_call("planned"), a_recent_call("bare")
    await reserve(ledger, planned, a_candidate())
    await open_call(ledger, bare)
    await rewind(database, CLAIM_OVER, [planned.call_id, bare.call_id])
    for call in (planned, bare):
        await ledger.open(an_opening(call, revision=2))
    async with database.connection() as connection:
        rows = await connection.fetch("select call_id, revision from calls")
    assert {row["call_id"]: row["revision"] for row in rows} == {"planned": 1, "bare": 2}


async def test_an_answer_that_binds_nobody_is_decided_anew_whatever_the_content(
    ledger: PostgresLedger,
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    unknown = a_finish(call, None, binding=False, reason="unknown_campaign")
    assert await ledger.finish(unknown) == Finished()
    corrected = an_opening(replace(call, source=None), fingerprint=b"corrected")
    opened = await ledger.open(corrected)
    assert isinstance(opened, Opened)
    assert (opened.epoch, opened.plan) == (2, None)
    assert isinstance(await ledger.open(corrected), BeingDecided)
    assert await ledger.open(an_opening(call)) == OtherContent()


async def test_a_caller_is_known_by_where_earlier_calls_went(ledger: PostgresLedger) -> None:
    first, second = a_recent_call("first"), a_recent_call("second")
    sold = await route(ledger, first)
    opened = await open_call(ledger, second)
    assert [(past.offer, past.buyer, past.campaign) for past in opened.past_calls] == [
        (sold.offer, sold.buyer, "auto-insurance")
    ]
    assert abs(opened.past_calls[0].routed_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert (opened.past_calls[0].answered_at, opened.past_calls[0].converted_at) == (None, None)


async def test_what_was_given_back_tests_and_withheld_callers_leave_no_trace_of_a_caller(
    ledger: PostgresLedger,
) -> None:
    released = a_recent_call("released")
    await reserve(ledger, released)
    await ledger.finish(a_finish(released, None))
    await route(ledger, a_recent_call("test", test=True))
    await route(ledger, a_recent_call("withheld", caller=Caller()))
    await route(ledger, a_recent_call("stranger", caller=from_number(1)))
    assert (await open_call(ledger, a_recent_call("next"))).past_calls == ()
    assert (await open_call(ledger, a_recent_call("hidden", caller=Caller()))).past_calls == ()


async def test_a_late_decision_that_is_collected_is_leased_like_any_route(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route(ledger, call, late=True, lease_ms=5_000, collected_lease_ms=85_000)
    assert isinstance(await ledger.open(an_opening(call)), AlreadyDecided)
    async with database.connection() as connection:
        row = await connection.fetchrow("""
            select c.state, extract(epoch from r.lease_until - now()) as left_s
            from calls as c join reservations as r using (call_id)
        """)
    assert row is not None
    assert row["state"] == "routed"
    assert 60 < row["left_s"] <= 85


async def test_a_late_decision_that_was_lost_is_decided_anew_with_the_same_content(
    ledger: PostgresLedger, database: Database
) -> None:
    call = a_recent_call()
    candidate = await route(ledger, call, late=True, answer=b"late")
    await rewind(database, LEASE_OVER, [call.call_id])
    await Sweeper(database).sweep()
    other = await ledger.open(an_opening(call, fingerprint=b"other"))
    assert other == OtherContent()
    retry = replace(call, received_at=call.received_at + timedelta(seconds=20))
    again = await ledger.open(an_opening(retry))
    assert isinstance(again, Opened)
    assert (again.epoch, again.plan) == (2, None)
    reserved = await ledger.reserve(a_request(retry, candidate, epoch=2))
    assert reserved == Reserved(0)
    finish = a_finish(retry, candidate, epoch=2)
    assert await ledger.finish(finish) == Finished()
    assert await ledger.open(an_opening(retry)) == AlreadyDecided(finish.answer)
    assert (await usage_of(database)).live == 1


async def test_deciders_of_a_call_have_epochs_of_their_own(
    database: Database,
) -> None:
    ledger, call = PostgresLedger(database, VAULT), a_recent_call()
    epochs = [(await open_call(ledger, call)).epoch]
    for _ in range(3):
        await rewind(database, CLAIM_OVER, [call.call_id])
        epochs.append((await open_call(ledger, call)).epoch)
    async with database.connection() as connection:
        await connection.execute("delete from calls")
    epochs.append((await open_call(ledger, call)).epoch)
    assert len(set(epochs)) == len(epochs), "a claim lost in a crash may not come back"
    assert all(0 < epoch < 2**31 for epoch in epochs)


async def test_the_largest_epoch_is_followed_by_another(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    async with database.connection() as connection:
        await connection.execute("update calls set epoch = 2147483647")
    await rewind(database, CLAIM_OVER, [call.call_id])
    assert (await open_call(ledger, call)).epoch == 1


async def test_an_unreadable_plan_is_as_good_as_none_and_troubles_nobody(
    database: Database, ledger: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(3)]
    for call in calls:
        await reserve(ledger, call)
    await rewind(database, CLAIM_OVER, [call.call_id for call in calls])
    async with database.connection() as connection:
        await connection.execute("update plans set candidates = 'junk' where call_id = 'call-1'")
    taken = await asyncio.gather(*(open_call(ledger, call) for call in calls))
    assert [opened.plan is None for opened in taken] == [False, True, False]
    assert [opened.epoch for opened in taken] == [2, 2, 2]
    assert [getattr(each, "call_id", None) for each in caplog.records] == ["call-1"]


async def test_late_decisions_of_a_batch_are_collected_together(
    database: Database, ledger: PostgresLedger
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(4)]
    for call in calls:
        await route(ledger, call, late=call.call_id != "call-0")
    results = await asyncio.gather(*(ledger.open(an_opening(call)) for call in calls * 2))
    assert all(isinstance(result, AlreadyDecided) for result in results)
    async with database.connection() as connection:
        states = await connection.fetch("select distinct state from calls")
        leases = await connection.fetchval(
            "select count(*) from reservations where lease_until > now() + interval '70 seconds'"
        )
    assert [row["state"] for row in states] == ["routed"]
    assert leases == 3


async def test_a_locked_late_decision_fails_alone(
    database: Database, ledger: PostgresLedger
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(3)]
    for call in calls:
        await route(ledger, call, late=True)
    async with database.transaction() as connection:
        await connection.execute(LOCK_CALL, "call-1")
        openings = (ledger.open(an_opening(call)) for call in calls)
        results = await asyncio.gather(*openings, return_exceptions=True)
    assert isinstance(results.pop(1), StorageUnavailableError)
    assert all(isinstance(result, AlreadyDecided) for result in results)


@pytest.mark.parametrize("over", [[CLAIM_OVER], [CLAIM_OVER, LEASE_OVER]])
async def test_a_plan_says_what_was_reserved_last_and_reserving_it_again_holds_once(
    database: Database, ledger: PostgresLedger, over: list[str]
) -> None:
    call, plan = a_recent_call(), (a_candidate(), a_candidate("beacon-auto", buyer="beacon"))
    await open_call(ledger, call)
    await ledger.reserve(a_request(call, *plan, start=1))
    for statement in over:
        await rewind(database, statement, [call.call_id])
    await Sweeper(database).sweep()
    taken = await open_call(ledger, call)
    assert taken.plan is not None
    assert taken.plan.position == 1
    again = a_request(call, *taken.plan.candidates[1:], epoch=taken.epoch)
    assert await ledger.reserve(again) == Reserved(0)
    beacon = offer_owner(OfferId("beacon-auto"))
    assert (await usage_of(database, beacon)).live == 1


async def test_an_opening_that_can_not_be_stored_fails_alone(ledger: PostgresLedger) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(4)]
    calls[2] = replace(calls[2], dialed_number="\0")
    openings = [ledger.open(an_opening(call)) for call in calls]
    results = await asyncio.gather(*openings, return_exceptions=True)
    assert isinstance(results.pop(2), asyncpg.PostgresError)
    assert results == [Opened(epoch=1)] * 3


async def test_opening_does_not_wait_for_the_disk(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.fetch(query("open_calls"), *["{}"] * 14, *([] for _ in range(3)))
        assert await connection.fetchval("show synchronous_commit") == "off"


async def test_a_call_that_the_database_lost_is_told_from_one_taken_over(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    async with database.connection() as connection:
        await connection.execute("delete from calls")
    with pytest.raises(StorageUnavailableError):
        await ledger.reserve(a_request(call))
    with pytest.raises(StorageUnavailableError):
        await ledger.finish(a_finish(call, None))
    await open_call(ledger, call)
    assert await ledger.reserve(a_request(call)) == Reserved(0)


async def test_a_call_that_went_on_while_it_was_waited_for_is_not_decided_anew(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    unbound = a_finish(call, None, binding=False, answer=b"first")
    assert await ledger.finish(unbound) == Finished()
    async with database.transaction() as connection:
        await connection.execute("update calls set attempt = 2, state = 'late'")
        opening = asyncio.ensure_future(ledger.open(an_opening(call)))
        await eventually(lambda: someone_waits(database))
    assert await opening == AlreadyDecided(b"first")
    async with database.connection() as connection:
        assert await connection.fetchval("select state from calls") == "late"


async def test_the_first_answer_does_not_collect_a_late_one_after_a_failure(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route(ledger, call, late=True)
    async with database.connection() as connection:
        await connection.execute("update calls set attempt = 2")
        assert await connection.fetch(query("collect_late"), [call.call_id]) == []
