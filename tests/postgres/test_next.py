"""Another route after a failed attempt: given back once, decided once, whoever asks and dies."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.call import Call, Caller
from auction.domain.finishing import Finished
from auction.domain.ids import offer_owner
from auction.domain.next_attempt import (
    AlreadyConverted,
    FailReason,
    NoSuchAttempt,
    Rerouting,
    UnknownCall,
)
from auction.domain.opening import AlreadyDecided, BeingDecided, Opened, OtherContent
from auction.domain.plan import StoredPlan
from auction.domain.reasons import Reason
from auction.domain.reserving import Reserved, Superseded
from auction.domain.switch_events import EventType
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from config.secret_box import SecretBox, SecretBoxError
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.queries import query
from storage.sweeper import Sweeper
from storage.vault import CallerVault
from tests.ledger_steps import (
    CLAIM_OVER,
    LEASE_OVER,
    LOCK_CALL,
    LOCK_OWNER,
    OFFER_OWNER,
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    an_event,
    an_opening,
    assert_balanced,
    daily_calls,
    from_number,
    limits,
    rewind,
    route,
    today,
    usage_of,
)
from tests.lost_commits import LosingLink
from tests.next_steps import a_failure, reroute, route_first, route_next

ACME = a_candidate()
BEACON = a_candidate("beacon-auto", buyer="beacon")
BEACON_OWNER = offer_owner(BEACON.offer)

ALL_OVER = [CLAIM_OVER, LEASE_OVER]


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


async def the_call(database: Database) -> asyncpg.Record:
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from calls")
    assert row is not None
    return row


async def attempt_row(database: Database, attempt: int) -> asyncpg.Record:
    async with database.connection() as connection:
        row = await connection.fetchrow(
            "select *, extract(epoch from lease_until - now()) as left_s from reservations "
            "where attempt = $1",
            attempt,
        )
    assert row is not None
    return row


async def report(
    database: Database, call: Call, kind: EventType, at_s: float, attempt: int = 1
) -> None:
    told = an_event(call, kind, at_s, attempt=attempt, event_id=f"{kind.value} {attempt}")
    await CallEvents(database, lambda _: None).record(told)


async def let_lapse(database: Database, call: Call) -> None:
    """Nobody came: what the call holds is over, and is swept."""
    for statement in ALL_OVER:
        await rewind(database, statement, [call.call_id])
    await Sweeper(database).sweep()


async def book(database: Database, call: Call, *, withdrawn: bool = False) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "insert into conversions (call_id, side, attempt, amount, trigger, at, withdrawn) "
            "values ($1, 'buyer', 1, 52, 'postback', now(), $2)",
            call.call_id,
            withdrawn,
        )


async def test_a_failure_is_stored_with_its_reason_and_the_call_waits_for_its_next_route(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call, ACME, BEACON)
    await reroute(ledger, call, reason=FailReason.FAILED, sip_code=503)
    failed = await attempt_row(database, 1)
    assert (failed["state"], failed["reason"], failed["sip_code"]) == ("failed", "dial_failed", 503)
    assert failed["sweep_at"] is None
    row = await the_call(database)
    assert (row["state"], row["attempt"], row["epoch"], row["binding"]) == ("rerouting", 2, 2, True)
    assert timedelta(seconds=8) < row["decide_by"] - datetime.now(UTC) <= timedelta(seconds=10)
    assert row["offer"] == "acme-auto", (
        "what the call shows is its last route until there is another"
    )
    async with database.connection() as connection:
        step = await connection.fetchrow("select * from next_steps")
    assert step is not None
    assert (step["attempt"], step["reason"], step["sip_code"]) == (1, "failed", 503)
    assert step["answer"] is None


async def test_the_next_route_is_the_calls_and_its_answer_that_of_the_step(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    first = await route_first(ledger, call, ACME, BEACON)
    answer = await route_next(ledger, await reroute(ledger, call), BEACON)
    row = await the_call(database)
    assert (row["state"], row["offer"], row["buyer"]) == ("routed", "beacon-auto", "beacon")
    assert (row["attempt"], row["answer"]) == (2, first)
    async with database.connection() as connection:
        assert await connection.fetchval("select answer from next_steps") == answer
        traces = await connection.fetch("select attempt, trace from traces order by attempt")
    assert [tuple(each) for each in traces] == [(1, b"first trace"), (2, b"trace 2")]
    assert (await attempt_row(database, 2))["state"] == "routed"
    usage = await assert_balanced(database)
    assert (usage[OFFER_OWNER].live, usage[BEACON_OWNER].live) == (0, 1)


async def test_no_further_route_leaves_none_on_the_call(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    first = await route_first(ledger, call)
    again = await reroute(ledger, call)
    nobody = a_finish(call, None, epoch=again.epoch, attempt=2, answer=b"nobody")
    assert await ledger.finish(nobody) == Finished()
    row = await the_call(database)
    assert (row["state"], row["reason"]) == ("no_route", "no_eligible_offer")
    assert [row[each] for each in ("offer", "buyer", "routed_by", "price")] == [None] * 4
    assert await ledger.open(an_opening(call)) == AlreadyDecided(first)
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(b"nobody")


async def test_a_refused_next_attempt_gives_back_what_it_held(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call)
    again = await reroute(ledger, call)
    ours = {"epoch": again.epoch, "attempt": 2}
    assert await ledger.reserve(a_request(call, BEACON, **ours)) == Reserved(0)
    assert await ledger.finish(a_finish(call, None, **ours)) == Finished()
    usage = await assert_balanced(database)
    assert (usage[BEACON_OWNER].live, today(usage[BEACON_OWNER])[0][0]) == (0, 0)
    assert (await the_call(database))["state"] == "no_route"


async def test_two_processes_hear_of_a_failure_many_times_and_give_back_once(dsn: str) -> None:
    databases = [await Database.connect(dsn) for _ in range(4)]
    ledgers = [a_ledger(each) for each in databases]
    calls = [a_recent_call(f"call-{number}", caller=from_number(number)) for number in range(10)]
    for call in calls:
        await route_first(ledgers[0], call, ACME, BEACON)
    asked = [(each, call) for call in calls for each in ledgers * 3]
    results = await asyncio.gather(*(each.open_next(a_failure(call)) for each, call in asked))
    ours = [each for each in results if isinstance(each, Rerouting)]
    assert sorted(each.call.call_id for each in ours) == sorted(call.call_id for call in calls)
    assert sum(isinstance(each, BeingDecided) for each in results) == len(asked) - len(calls)
    usage = await assert_balanced(databases[0])
    assert (usage[OFFER_OWNER].live, *today(usage[OFFER_OWNER])) == (0, (0,) * 4, (0,) * 4)
    await asyncio.gather(*(route_next(ledgers[0], each, BEACON) for each in ours))
    results = await asyncio.gather(*(each.open_next(a_failure(call)) for each, call in asked))
    assert set(results) == {AlreadyDecided(b"attempt 2")}
    usage = await assert_balanced(databases[0])
    assert (usage[OFFER_OWNER].live, usage[BEACON_OWNER].live) == (0, 10)
    for each in databases:
        await each.close()


async def test_a_claim_whose_commit_nobody_heard_of_is_taken_over(
    dsn: str, database: Database
) -> None:
    call = a_recent_call()
    await route_first(a_ledger(database), call, ACME, BEACON)
    link = LosingLink(dsn)
    lossy = await Database.connect(await link.start())
    link.lose_next_commit()
    with pytest.raises(StorageUnavailableError):
        await a_ledger(lossy).open_next(a_failure(call))
    await lossy.close()
    await link.stop()
    assert link.lost == 1
    assert isinstance(await a_ledger(database).open_next(a_failure(call)), BeingDecided)
    await rewind(database, CLAIM_OVER, [call.call_id])
    again = await reroute(a_ledger(database), call)
    assert (again.epoch, again.attempt) == (3, 2)
    usage = await assert_balanced(database)
    assert (usage[OFFER_OWNER].live, *today(usage[OFFER_OWNER])) == (0, (0,) * 4, (0,) * 4)


async def test_a_slot_and_the_cap_are_free_for_the_next_caller_at_once(
    database: Database, ledger: PostgresLedger
) -> None:
    scarce = a_candidate(offer_limits=limits(OFFER_OWNER, daily_calls(1), concurrency=1))
    call, other = a_recent_call(), a_recent_call("other", caller=from_number(1))
    await route_first(ledger, call, scarce)
    await reroute(ledger, call)
    await route_first(ledger, other, scarce)
    assert (await usage_of(database)).live == 1


async def test_usage_is_told_after_a_failure(database: Database) -> None:
    told: list[Usage] = []
    ledger = a_ledger(database, on_usage=lambda usage: told.append(usage[OFFER_OWNER]))
    call = a_recent_call()
    await route_first(ledger, call)
    assert told[-1].live == 1
    await reroute(ledger, call)
    assert told[-1].live == 0


async def test_a_short_call_stays_answered_in_the_counts_but_takes_no_call(
    database: Database, ledger: PostgresLedger
) -> None:
    waits = a_candidate(conversions=())
    call = a_recent_call()
    await route_first(ledger, call, waits)
    await report(database, call, EventType.ANSWERED, 2)
    await report(database, call, EventType.ENDED, 5)
    await reroute(ledger, call, reason=FailReason.SHORT_CALL, sip_code=None)
    usage = (await assert_balanced(database))[OFFER_OWNER]
    assert (usage.live, *today(usage)) == (0, (0, 1, 0, 0), (0, 0, 0, 0))
    failed = await attempt_row(database, 1)
    assert (failed["state"], failed["reason"]) == ("failed", "short_call")
    assert failed["answered_at"] == call.received_at + timedelta(seconds=2)
    assert failed["ended_at"] == call.received_at + timedelta(seconds=5)
    assert failed["connected_duration_s"] == Decimal("3.000")
    row = await the_call(database)
    assert [row[each] for each in ("answered_at", "ended_at", "ended_by")] == [None] * 3
    assert [row["total_duration_s"], row["connected_duration_s"]] == [None] * 2


async def test_a_short_call_is_a_past_call_of_its_caller_and_an_unanswered_one_is_none(
    database: Database, ledger: PostgresLedger
) -> None:
    short, busy = a_recent_call("short"), a_recent_call("busy")
    await route_first(ledger, short, a_candidate(conversions=()))
    await report(database, short, EventType.ANSWERED, 2)
    await reroute(ledger, short, reason=FailReason.SHORT_CALL)
    await route_first(ledger, busy, BEACON)
    again = await reroute(ledger, busy)
    assert [past.offer for past in again.past_calls] == [ACME.offer]
    opened = await ledger.open(an_opening(a_recent_call("later")))
    assert isinstance(opened, Opened)
    assert [past.offer for past in opened.past_calls] == [ACME.offer]
    assert opened.past_calls[0].answered_at == short.received_at + timedelta(seconds=2)


async def test_a_call_that_ended_or_was_lost_may_fail_all_the_same(
    database: Database, ledger: PostgresLedger
) -> None:
    ended, lost = a_recent_call("ended"), a_recent_call("lost", caller=from_number(1))
    await route_first(ledger, ended)
    await route_first(ledger, lost)
    await report(database, ended, EventType.ENDED, 20)
    await let_lapse(database, lost)
    for call in (ended, lost):
        assert (await reroute(ledger, call)).tried == ((ACME.offer, Reason.BUSY),)
    usage = (await assert_balanced(database))[OFFER_OWNER]
    assert (usage.live, *today(usage)) == (0, (0,) * 4, (0,) * 4)


async def test_a_sold_attempt_keeps_what_it_used_and_frees_its_slot(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call)
    await report(database, call, EventType.ANSWERED, 2)
    before = await the_call(database)
    assert await ledger.open_next(a_failure(call)) == AlreadyConverted(2, call, before["campaign"])
    assert await the_call(database) == before
    usage = (await assert_balanced(database))[OFFER_OWNER]
    assert (usage.live, *today(usage)) == (0, (1, 1, 1, 520_000), (0, 0, 0, 0))
    assert await ledger.refuse_next(call.call_id, 1, b"sold") == b"sold"
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(b"sold")
    assert await ledger.open_next(a_failure(call, fingerprint=b"other")) == OtherContent()
    await report(database, call, EventType.ENDED, 90)
    assert (await the_call(database))["state"] == "ended"
    usage = (await assert_balanced(database))[OFFER_OWNER]
    assert (usage.live, *today(usage)) == (0, (1, 1, 1, 520_000), (0, 0, 0, 0))


async def test_refusals_asked_for_together_get_the_one_that_was_stored_first(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call)
    await book(database, call)
    await ledger.open_next(a_failure(call))
    other = a_ledger(database)
    refusals = [
        each.refuse_next(call.call_id, 1, str(number).encode())
        for number, each in enumerate([ledger, other] * 5)
    ]
    answers = set(await asyncio.gather(*refusals))
    assert len(answers) == 1
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(*answers)


async def test_a_refusal_of_a_request_that_the_database_lost_is_told(
    ledger: PostgresLedger,
) -> None:
    call = a_recent_call()
    await route_first(ledger, call)
    with pytest.raises(StorageUnavailableError):
        await ledger.refuse_next(call.call_id, 1, b"sold")


async def test_a_conversion_that_was_withdrawn_does_not_stand_in_the_way(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call)
    await book(database, call, withdrawn=True)
    await route_next(ledger, await reroute(ledger, call), BEACON)
    row = await the_call(database)
    assert (row["attempt"], row["offer"]) == (2, "beacon-auto")
    assert (await usage_of(database)).live == 0


async def test_an_earlier_attempt_that_was_sold_after_all_ends_the_search(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call, ACME, BEACON)
    await route_next(ledger, await reroute(ledger, call), BEACON)
    await book(database, call)
    result = await ledger.open_next(a_failure(call, 2))
    assert isinstance(result, AlreadyConverted)
    assert result.attempt == 3
    usage = (await assert_balanced(database))[BEACON_OWNER]
    assert (usage.live, *today(usage)) == (0, (1, 0, 0, 0), (0, 0, 0, 0))


@pytest.mark.parametrize("routed", [True, False])
async def test_who_bought_an_earlier_attempt_meanwhile_stays_whom_the_call_names(
    database: Database, ledger: PostgresLedger, routed: bool
) -> None:
    call = a_recent_call()
    await route_first(ledger, call, ACME, BEACON)
    again = await reroute(ledger, call)
    await book(database, call)
    if routed:
        await route_next(ledger, again, BEACON)
    else:
        await ledger.finish(a_finish(call, None, epoch=again.epoch, attempt=2, currency=None))
    row = await the_call(database)
    assert (row["state"], row["attempt"]) == ("routed" if routed else "no_route", 2)
    assert (row["offer"], row["buyer"], row["currency"]) == ("acme-auto", "acme", "USD")
    usage = await assert_balanced(database)
    assert usage.get(BEACON_OWNER, Usage()).live == int(routed)


async def test_a_late_refusal_of_a_call_that_ended_is_not_decided_anew(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call)
    again = await reroute(ledger, call)
    nobody = a_finish(call, None, epoch=again.epoch, attempt=2, late=True, binding=False)
    assert await ledger.finish(nobody) == Finished()
    await report(database, call, EventType.ENDED, 5, attempt=2)
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(nobody.answer)


@pytest.mark.parametrize("over", [[CLAIM_OVER], ALL_OVER])
async def test_after_a_dead_decider_its_plan_is_resumed_and_held_once(
    database: Database, ledger: PostgresLedger, over: list[str]
) -> None:
    call = a_recent_call()
    first = await route_first(ledger, call, ACME, BEACON)
    dead = await reroute(ledger, call)
    ours = {"epoch": dead.epoch, "attempt": 2}
    await ledger.reserve(a_request(call, BEACON, trace=b"posted", **ours))
    for statement in over:
        await rewind(database, statement, [call.call_id])
    await Sweeper(database).sweep()
    assert await ledger.open(an_opening(call)) == AlreadyDecided(first)
    taken = await reroute(ledger, call)
    assert taken.plan == StoredPlan((BEACON,), 0, b"posted", call.received_at)
    assert taken.epoch not in {1, 2}
    assert await ledger.finish(a_finish(call, BEACON, **ours)) == Superseded(None)
    await route_next(ledger, taken, BEACON)
    usage = await assert_balanced(database)
    assert (usage[OFFER_OWNER].live, usage[BEACON_OWNER].live) == (0, 1)


async def test_a_late_route_is_leased_like_any_once_it_is_fetched(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call, ACME, BEACON)
    again = await reroute(ledger, call)
    late = {"late": True, "lease_ms": 5_000, "collected_lease_ms": 85_000}
    answer = await route_next(ledger, again, BEACON, **late)
    await ledger.open(an_opening(call))
    assert (await the_call(database))["state"] == "late", "the first answer is not the late one"
    repeats = (ledger.open_next(a_failure(call)) for _ in range(5))
    assert set(await asyncio.gather(*repeats)) == {AlreadyDecided(answer)}
    assert (await the_call(database))["state"] == "routed"
    assert 60 < (await attempt_row(database, 2))["left_s"] <= 85


async def test_a_late_route_that_nobody_fetched_is_decided_anew(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    first = await route_first(ledger, call, ACME, BEACON)
    again = await reroute(ledger, call)
    await route_next(ledger, again, BEACON, late=True, answer=b"late")
    await let_lapse(database, call)
    assert (await the_call(database))["state"] == "lost"
    assert (await usage_of(database, BEACON_OWNER)).live == 0
    assert await ledger.open(an_opening(call)) == AlreadyDecided(first)
    other = a_failure(call, fingerprint=b"other")
    assert await ledger.open_next(other) == OtherContent()
    anew = await reroute(ledger, call)
    assert (anew.attempt, anew.tried) == (2, again.tried)
    assert anew.traces == (b"first trace",)
    stale = a_finish(call, BEACON, epoch=again.epoch, attempt=2)
    assert await ledger.finish(stale) == Superseded(None), "the lapsed answer is none any more"
    await route_next(ledger, anew, BEACON, answer=b"anew")
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(b"anew")
    assert (await assert_balanced(database))[BEACON_OWNER].live == 1


async def test_a_lost_route_that_the_switch_had_fetched_stands(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route_first(ledger, call, ACME, BEACON)
    answer = await route_next(ledger, await reroute(ledger, call), BEACON)
    await let_lapse(database, call)
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(answer)
    assert isinstance(await ledger.open_next(a_failure(call, 2)), Rerouting)


async def test_a_late_first_route_that_was_swept_may_have_failed(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route(ledger, call, late=True, answer=b"late")
    await let_lapse(database, call)
    assert (await reroute(ledger, call)).attempt == 2
    assert await ledger.open(an_opening(call)) == AlreadyDecided(b"late")
    assert (await assert_balanced(database))[OFFER_OWNER].live == 0


async def test_a_call_that_is_decided_anew_has_no_failed_attempt(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route(ledger, call, late=True)
    await let_lapse(database, call)
    assert isinstance(await ledger.open(an_opening(call)), Opened)
    assert await ledger.open_next(a_failure(call)) == NoSuchAttempt()


async def test_an_unreadable_plan_is_as_good_as_none(
    database: Database, ledger: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    call = a_recent_call()
    await route_first(ledger, call, ACME, BEACON)
    async with database.connection() as connection:
        await connection.execute("update plans set candidates = 'junk'")
    again = await reroute(ledger, call)
    assert (again.candidates, again.plan, again.tried) == ((), None, ((ACME.offer, Reason.BUSY),))
    assert [getattr(each, "call_id", None) for each in caplog.records] == [call.call_id]


async def test_a_withheld_caller_has_no_past(ledger: PostgresLedger) -> None:
    hidden, other = a_recent_call(caller=Caller()), a_recent_call("other", caller=Caller())
    await route_first(ledger, other)
    await route_first(ledger, hidden)
    again = await reroute(ledger, hidden)
    assert (again.past_calls, again.call) == ((), hidden)


async def test_failures_of_a_batch_are_settled_apart(
    database: Database, ledger: PostgresLedger
) -> None:
    known = [a_recent_call(f"call-{number}", caller=from_number(number)) for number in range(3)]
    for call in known:
        await route_first(ledger, call)
    await book(database, known[2])
    results = await asyncio.gather(
        *(ledger.open_next(a_failure(call)) for call in known),
        ledger.open_next(a_failure(known[0])),
        ledger.open_next(a_failure(known[0], fingerprint=b"other")),
        ledger.open_next(a_failure(known[1], 2)),
        ledger.open_next(a_failure(a_recent_call("unknown"))),
    )
    kinds = [type(each) for each in results]
    assert kinds[:3] == [Rerouting, Rerouting, AlreadyConverted]
    assert kinds[3:] == [BeingDecided, OtherContent, NoSuchAttempt, UnknownCall]


@pytest.mark.parametrize("locked", ["call", "owner"])
async def test_a_locked_row_fails_its_own_request_only(
    database: Database, ledger: PostgresLedger, locked: str
) -> None:
    calls = [a_recent_call(f"call-{number}", caller=from_number(number)) for number in range(3)]
    plans = [ACME, BEACON, ACME]
    for call, plan in zip(calls, plans, strict=True):
        await route_first(ledger, call, plan)
    statement, key = (LOCK_CALL, "call-1") if locked == "call" else (LOCK_OWNER, BEACON_OWNER)
    async with database.transaction() as connection:
        await connection.execute(statement, key)
        asked = (ledger.open_next(a_failure(call)) for call in calls)
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results.pop(1), StorageUnavailableError)
    assert all(isinstance(each, Rerouting) for each in results)


async def test_a_locked_call_fails_its_own_refusal_only(
    database: Database, ledger: PostgresLedger
) -> None:
    calls = [a_recent_call(f"call-{number}", caller=from_number(number)) for number in range(2)]
    for call in calls:
        await route_first(ledger, call)
        await book(database, call)
        await ledger.open_next(a_failure(call))
    async with database.transaction() as connection:
        await connection.execute(LOCK_CALL, "call-0")
        refusals = (ledger.refuse_next(call.call_id, 1, b"sold") for call in calls)
        results = await asyncio.gather(*refusals, return_exceptions=True)
    assert isinstance(results[0], StorageUnavailableError)
    assert results[1] == b"sold"


async def test_a_call_sealed_under_another_key_fails_alone_and_keeps_its_slot(
    database: Database, ledger: PostgresLedger
) -> None:
    call, foreign = a_recent_call(), a_recent_call("foreign", caller=from_number(1))
    await route_first(ledger, call)
    other = PostgresLedger(database, CallerVault(SecretBox(b"o" * 32), b"identity"))
    opened = await other.open(an_opening(foreign))
    assert isinstance(opened, Opened)
    await other.reserve(a_request(foreign, BEACON, epoch=opened.epoch))
    await other.finish(a_finish(foreign, BEACON, epoch=opened.epoch))
    asked = (ledger.open_next(a_failure(each)) for each in (call, foreign))
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results[0], Rerouting)
    assert isinstance(results[1], SecretBoxError)
    usage = await assert_balanced(database)
    assert (usage[OFFER_OWNER].live, usage[BEACON_OWNER].live) == (0, 1)


async def test_epochs_go_on_at_random_and_around(database: Database) -> None:
    ledger, call = PostgresLedger(database, VAULT), a_recent_call()
    opened = await ledger.open(an_opening(call))
    assert isinstance(opened, Opened)
    await ledger.reserve(a_request(call, epoch=opened.epoch))
    await ledger.finish(a_finish(call, ACME, epoch=opened.epoch))
    async with database.connection() as connection:
        await connection.execute("update calls set epoch = 2147483647")
    epochs = [(await reroute(ledger, call)).epoch]
    for _ in range(3):
        await rewind(database, CLAIM_OVER, [call.call_id])
        epochs.append((await reroute(ledger, call)).epoch)
    assert len(set(epochs)) == len(epochs)
    assert all(0 < epoch < 2**31 for epoch in epochs)


async def test_a_claim_does_not_wait_for_the_disk_and_is_planned_by_keys(
    database: Database,
) -> None:
    async with database.transaction() as connection:
        await connection.fetch(query("lock_next"), ["nobody"])
        assert await connection.fetchval("show synchronous_commit") == "off"
        assert await connection.fetchval("show lock_timeout") == "250ms"
        assert await connection.fetchval("show enable_seqscan") == "off"


async def test_a_test_call_goes_on_without_counting(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call(test=True)
    nobody = replace(ACME, owners=())
    await route_first(ledger, call, nobody)
    again = await reroute(ledger, call)
    assert again.call == call
    await route_next(ledger, again, replace(BEACON, owners=()))
    assert await usage_of(database) == Usage()
