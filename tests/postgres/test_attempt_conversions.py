"""Attempt conversions: booked with the decision, once, and exactly as far as the call held."""

import asyncio
from decimal import Decimal

import pytest
import pytest_asyncio

from auction.domain.call import Caller
from auction.domain.conversions import Side
from auction.domain.finishing import Finished
from auction.domain.reserving import Reserved, Superseded
from auction.domain.terms import (
    ConversionRule,
    PayoutRule,
    Trigger,
    WebhookEvent,
)
from auction.domain.usage import NOTHING
from auction.ports import InvariantViolatedError, StorageUnavailableError
from storage.callers import caller_key
from storage.database import Database
from storage.finishing import Finishing
from storage.ledger import PostgresLedger
from storage.outbox import SILENT
from tests.builders import CAMPAIGN
from tests.ledger_steps import (
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    a_request,
    all_usage,
    assert_balanced,
    from_number,
    reserve,
    today,
    usage_of,
)
from tests.lost_commits import LosingLink
from tests.next_steps import reroute
from tests.routing_steps import (
    ALL_TOLD,
    ATTEMPT,
    PAYOUT,
    PER_CALLER,
    PERCENT,
    Noticing,
    a_call_of,
    entries,
    finish,
    hold_of,
    ignore,
    routed,
)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


async def test_an_attempt_conversion_is_booked_at_routing(database: Database) -> None:
    call, candidate = a_call_of(), a_candidate(conversions=(ATTEMPT,))
    await routed(database, call, candidate, lease_ms=85_000)
    assert await entries(database) == [("call-1", "buyer", 1, "routing", Decimal("52.00"))]
    assert today(await usage_of(database)) == ((1, 0, 1, 520_000), (0, 1, 0, 0))
    hold = await hold_of(database)
    assert (hold["state"], hold["converted_at"] is not None) == ("routed", True)
    assert hold["paid_at"] is None
    assert 80 < (hold["lease_until"] - hold["now"]).total_seconds() <= 85
    await assert_balanced(database)


async def test_what_an_attempt_conversion_does_not_come_to_is_given_back(
    database: Database,
) -> None:
    rule = ConversionRule(Trigger.ATTEMPT, amount=Decimal("20.00"))
    await routed(database, a_call_of(), a_candidate(conversions=(rule,)))
    assert today(await usage_of(database)) == ((1, 0, 1, 200_000), (0, 1, 0, 0))
    await assert_balanced(database)


async def test_what_a_buyer_pays_by_attempt_is_told_to_those_who_count_it(
    database: Database,
) -> None:
    heard: list[tuple[object, ...]] = []
    finishing = Finishing(database, ignore, SILENT, lambda *earned: heard.append(earned))
    call, candidate = a_call_of(), a_candidate(conversions=(ATTEMPT,), payouts=(PAYOUT,))
    await reserve(a_ledger(database), call, candidate)
    for _ in range(2):
        await finishing.run([a_finish(call, candidate)])
    assert heard == [
        (CAMPAIGN, "USD", Side.BUYER, Decimal("52.00")),
        (CAMPAIGN, "USD", Side.SOURCE, Decimal("8.00")),
    ]


async def test_repeats_book_nothing_more(database: Database, ledger: PostgresLedger) -> None:
    call, candidate = a_call_of(), a_candidate(conversions=(ATTEMPT,), payouts=(PAYOUT,))
    await reserve(ledger, call, candidate)
    decision = a_finish(call, candidate, answer=b"go")
    twice = [decision, a_finish(call, candidate, answer=b"again")]
    assert await finish(database, *twice) == [Finished(), Superseded(b"go")]
    assert await finish(database, decision) == [Superseded(b"go")]
    assert [entry[1] for entry in await entries(database)] == ["buyer", "source"]
    await assert_balanced(database)


async def test_a_booking_whose_commit_nobody_heard_of_is_booked_once(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    link = LosingLink(dsn)
    far = await Database.connect(await link.start(), max_size=1)
    call, candidate = a_call_of(), a_candidate(conversions=(ATTEMPT,))
    await reserve(ledger, call, candidate)
    decision = a_finish(call, candidate, answer=b"go")
    link.lose_next_commit()
    (unheard,) = await finish(far, decision)
    assert isinstance(unheard, StorageUnavailableError)
    assert link.lost == 1
    assert await finish(database, decision) == [Superseded(b"go")]
    assert len(await entries(database)) == 1
    await assert_balanced(database)
    await far.close()
    await link.stop()


async def test_a_superseded_decider_books_nothing(
    database: Database, ledger: PostgresLedger
) -> None:
    call, candidate = a_call_of(), a_candidate(conversions=(ATTEMPT,))
    await reserve(ledger, call, candidate)
    outbox = Noticing(*ALL_TOLD)
    stale = a_finish(call, candidate, epoch=7)
    assert await finish(database, stale, outbox=outbox) == [Superseded(None)]
    assert (await entries(database), outbox.facts) == ([], [])
    assert today(await usage_of(database)) == ((1, 0, 0, 0), (0, 1, 1, 520_000))


async def test_a_source_is_paid_for_the_attempt_beside_the_buyers_conversion(
    database: Database,
) -> None:
    candidate = a_candidate(conversions=(ATTEMPT,), payouts=(PERCENT,))
    await routed(database, a_call_of(), candidate)
    assert await entries(database) == [
        ("call-1", "buyer", 1, "routing", Decimal("52.00")),
        ("call-1", "source", 1, "routing", Decimal("17.3333")),
    ]
    assert (await hold_of(database))["paid_at"] is not None


async def test_a_payout_for_the_attempt_leaves_what_the_buyer_holds_pending(
    database: Database,
) -> None:
    await routed(database, a_call_of(), a_candidate(payouts=(PAYOUT,)))
    assert await entries(database) == [("call-1", "source", 1, "routing", Decimal("8.00"))]
    assert today(await usage_of(database)) == ((1, 0, 0, 0), (0, 1, 1, 520_000))
    hold = await hold_of(database)
    assert (hold["converted_at"], hold["paid_at"] is not None) == (None, True)


async def test_a_payout_of_the_revenue_waits_for_revenue(database: Database) -> None:
    await routed(database, a_call_of(), a_candidate(payouts=(PERCENT,)))
    assert await entries(database) == []


async def test_a_test_call_is_told_of_but_books_nothing(database: Database) -> None:
    outbox = Noticing(*ALL_TOLD)
    candidate = a_candidate(conversions=(ATTEMPT,), payouts=(PAYOUT,), owners=())
    await routed(database, a_call_of(test=True), candidate, outbox)
    assert [fact.event for fact in outbox.facts] == [WebhookEvent.CALL_ROUTED]
    assert (await entries(database), await all_usage(database)) == ([], {})


async def test_a_caller_that_has_converted_lately_is_passed_over_by_the_rule(
    database: Database,
) -> None:
    less = ConversionRule(Trigger.ATTEMPT, amount=Decimal("5.00"))
    candidate = a_candidate(conversions=(PER_CALLER, less))
    await routed(database, a_call_of("first"), candidate)
    await routed(database, a_call_of("again"), candidate)
    await routed(database, a_call_of("stranger", caller=from_number(2)), candidate)
    await routed(database, a_call_of("elsewhere"), a_candidate("other", conversions=(PER_CALLER,)))
    amounts = [amount for *_, amount in await entries(database)]
    assert amounts == [Decimal(each) for each in ("52.00", "5.00", "52.00", "52.00")]


async def test_of_one_callers_attempts_in_a_batch_one_is_sold(
    database: Database, ledger: PostgresLedger
) -> None:
    candidate = a_candidate(conversions=(PER_CALLER,))
    calls = [a_call_of(f"call-{number}") for number in range(3)]
    for call in calls:
        await reserve(ledger, call, candidate)
    results = await finish(database, *(a_finish(call, candidate) for call in calls))
    assert results == [Finished()] * 3
    assert len(await entries(database)) == 1
    await assert_balanced(database)


async def test_of_one_callers_attempts_at_once_one_is_sold_and_one_is_paid(dsn: str) -> None:
    databases = [await Database.connect(dsn) for _ in range(4)]
    paid = PayoutRule(None, Trigger.ATTEMPT, amount=Decimal("8.00"), dedupe_days=30)
    for number in range(10):
        # Offers of their own, so that no counter's lock keeps the deciders apart.
        candidates = [
            a_candidate(
                f"offer-{place % 2}-{number}",
                buyer=f"buyer-{place}-{number}",
                conversions=(PER_CALLER,),
                payouts=(paid,),
            )
            for place in range(4)
        ]
        caller = from_number(number)
        calls = [a_call_of(f"{number}-{place}", caller=caller) for place in range(4)]
        for database, call, candidate in zip(databases, calls, candidates, strict=True):
            await reserve(a_ledger(database), call, candidate)
        await asyncio.gather(
            *(
                finish(database, a_finish(call, candidate))
                for database, call, candidate in zip(databases, calls, candidates, strict=True)
            )
        )
    sides = [side for _, side, *_ in await entries(databases[0])]
    assert (sides.count("buyer"), sides.count("source")) == (20, 10)
    await assert_balanced(databases[0])
    for database in databases:
        await database.close()


async def test_withheld_callers_are_never_taken_for_each_other(database: Database) -> None:
    for number in range(2):
        call = a_call_of(f"call-{number}", caller=Caller())
        await routed(database, call, a_candidate(conversions=(PER_CALLER,)))
    assert len(await entries(database)) == 2


async def test_a_route_whose_caller_is_locked_fails_alone(
    database: Database, ledger: PostgresLedger
) -> None:
    candidate = a_candidate(conversions=(PER_CALLER,))
    calls = [a_call_of(f"call-{number}", caller=from_number(number)) for number in range(4)]
    for call in calls:
        await reserve(ledger, call, candidate)
    caller = VAULT.hash(calls[2].caller.number)
    assert caller is not None
    plain = a_call_of("plain")
    await reserve(ledger, plain)
    decisions = [a_finish(call, candidate) for call in calls] + [a_finish(plain, a_candidate())]
    async with database.transaction() as connection:
        await connection.execute("select pg_advisory_xact_lock($1)", caller_key(caller))
        results = await finish(database, *decisions)
    failed = [isinstance(result, StorageUnavailableError) for result in results]
    assert failed == [False, False, True, False, False]
    assert await finish(database, decisions[2]) == [Finished()]
    await assert_balanced(database)


@pytest.mark.parametrize("broken", [0, 1])
async def test_a_route_whose_bookings_can_not_be_stored_fails_alone(
    database: Database, ledger: PostgresLedger, broken: int
) -> None:
    calls = [a_call_of(f"call-{number}") for number in range(3)]
    candidates = [a_candidate(f"offer-{number}", conversions=(ATTEMPT,)) for number in range(3)]
    for call, candidate in zip(calls, candidates, strict=True):
        await reserve(ledger, call, candidate)
    async with database.connection() as connection:
        await connection.execute(
            "delete from usage_counters where owner = $1", f"offer:offer-{broken}"
        )
    results = list(await finish(database, *map(a_finish, calls, candidates)))
    assert isinstance(results.pop(broken), KeyError)
    assert results == [Finished()] * 2
    assert len(await entries(database)) == 2


async def test_a_further_attempt_is_sold_but_its_source_is_not_paid_again(
    database: Database, ledger: PostgresLedger
) -> None:
    call, outbox = a_call_of(), Noticing(*ALL_TOLD)
    await routed(database, call, a_candidate(payouts=(PAYOUT,)), outbox)
    claim = await reroute(ledger, call)
    second = a_candidate("other", conversions=(ATTEMPT,), payouts=(PAYOUT,))
    request = a_request(call, second, epoch=claim.epoch, attempt=2)
    assert await ledger.reserve(request) == Reserved(0)
    decision = a_finish(call, second, epoch=claim.epoch, attempt=2, answer=b"second")
    assert await finish(database, decision, outbox=outbox) == [Finished()]
    assert await finish(database, decision, outbox=outbox) == [Superseded(b"second")]
    assert await entries(database) == [
        ("call-1", "source", 1, "routing", Decimal("8.00")),
        ("call-1", "buyer", 2, "routing", Decimal("52.00")),
    ]
    attempts = [data["attempt"] for data in outbox.told(WebhookEvent.CALL_ROUTED)]
    assert attempts == [1, 2]
    await assert_balanced(database)


async def test_a_further_attempt_without_a_route_gives_back_what_it_holds(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_call_of()
    await routed(database, call, a_candidate())
    claim = await reroute(ledger, call)
    request = a_request(call, a_candidate("other"), epoch=claim.epoch, attempt=2)
    assert await ledger.reserve(request) == Reserved(0)
    nowhere = a_finish(call, None, epoch=claim.epoch, attempt=2)
    assert await finish(database, nowhere) == [Finished()]
    assert (await hold_of(database, 2))["state"] == "released"
    assert today(await usage_of(database)) == (NOTHING, NOTHING)
    await assert_balanced(database)


async def test_a_further_attempt_without_its_hold_is_never_stored(
    database: Database, ledger: PostgresLedger
) -> None:
    call, candidate = a_call_of(), a_candidate(conversions=(ATTEMPT,))
    await routed(database, call, a_candidate())
    claim = await reroute(ledger, call)
    decision = a_finish(call, candidate, epoch=claim.epoch, attempt=2)
    (result,) = await finish(database, decision)
    assert isinstance(result, InvariantViolatedError)
    assert await entries(database) == []
