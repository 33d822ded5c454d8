"""What calls earn by what the switch reports: both sides, once each, told to whom it concerns."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.call import Caller
from auction.domain.conversions import Entry, EntryKind, Side
from auction.domain.ids import CallId, CampaignId, SourceId
from auction.domain.switch_events import CallEvent, EventResult, EventType
from auction.domain.terms import ConversionRule, Trigger
from auction.domain.usage import NOTHING
from auction.ports import StorageUnavailableError
from storage.callers import caller_key
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.progress import write_progress
from storage.sweeper import Sweeper
from tests.builders import CAMPAIGN
from tests.ledger_steps import (
    LEASE_OVER,
    VAULT,
    a_candidate,
    a_ledger,
    a_recent_call,
    an_event,
    assert_balanced,
    from_number,
    rewind,
    route,
    today,
    usage_of,
)
from tests.money_steps import (
    Listening,
    assert_tied_out,
    entries,
    pays,
    pays_share,
    sides,
)

APPLIED = EventResult.APPLIED
ANSWERED, ENDED = EventType.ANSWERED, EventType.ENDED
PRICE = Decimal("52.00")
TIMER = ConversionRule(Trigger.TIMER, 90)
ONCE_A_MONTH = ConversionRule(Trigger.ANSWERED, dedupe_days=30)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, ignore)


def ignore(_: object) -> None:
    """Nobody looks at usage here."""


def connected(call_id: str, seconds: str, **changes: object) -> CallEvent:
    """The end of a call with so much connected time."""
    call = a_recent_call(call_id)
    return an_event(call, ENDED, 128, connected_duration_s=Decimal(seconds), **changes)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ("29.999", {}),
        ("30", {"source": (1, "timer", Decimal(8))}),
        ("89.6", {"source": (1, "timer", Decimal(8))}),
        ("90", {"buyer": (1, "timer", PRICE), "source": (1, "timer", Decimal(8))}),
    ],
)
async def test_the_sides_of_a_call_convert_apart(
    database: Database,
    ledger: PostgresLedger,
    events: CallEvents,
    seconds: str,
    expected: dict[str, tuple[int, str, Decimal]],
) -> None:
    candidate = a_candidate(conversions=(TIMER,), payouts=(pays("8.00", Trigger.TIMER, 30),))
    await route(ledger, a_recent_call(), candidate)
    assert await events.record(connected("call-1", seconds)) is APPLIED
    assert await sides(database) == expected
    assert [(side, actor) for side, _, _, actor in await entries(database)] == [
        (side, "switch") for side in sorted(expected)
    ]
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from reservations")
    assert row is not None
    assert (row["converted_at"] is not None) is ("buyer" in expected)
    assert (row["paid_at"] is not None) is ("source" in expected)
    assert row["connected_duration_s"] == Decimal(seconds)
    await assert_tied_out(database)


async def test_a_share_is_that_of_the_revenue(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    rule = ConversionRule(Trigger.TIMER, 90, Decimal("33.33"))
    candidate = a_candidate(conversions=(rule,), payouts=(pays_share("33.3333"),))
    await route(ledger, a_recent_call(), candidate)
    await events.record(an_event(a_recent_call(), ANSWERED, 8))
    assert await sides(database) == {}, "there is no revenue yet to have a share of"
    await events.record(connected("call-1", "120"))
    assert (await sides(database))["source"] == (1, "answered", Decimal("11.1099"))
    async with database.connection() as connection:
        stored = await connection.fetchval("select percent from conversions where side = 'source'")
    assert stored == Decimal("33.3333")
    await assert_tied_out(database)


async def test_listeners_hear_of_what_either_side_earns_and_of_nothing_else(
    database: Database, ledger: PostgresLedger
) -> None:
    earned: list[tuple[CampaignId | None, str, Side, Decimal]] = []
    events = CallEvents(
        database,
        ignore,
        on_earned=lambda *each: earned.append(each),
    )
    await route(ledger, a_recent_call(), a_candidate(payouts=(pays("8.00"),)))
    await events.record(an_event(a_recent_call(), ANSWERED, 8))
    await events.record(connected("call-1", "120"))
    assert earned == [
        (CAMPAIGN, "USD", Side.BUYER, PRICE),
        (CAMPAIGN, "USD", Side.SOURCE, Decimal("8.00")),
    ]


async def test_subscribers_are_told_of_each_step_of_a_call_once(
    database: Database, ledger: PostgresLedger
) -> None:
    outbox = Listening()
    events = CallEvents(database, ignore, outbox=outbox)
    call = a_recent_call()
    await route(ledger, call, a_candidate(payouts=(pays_share("25"),)))
    answered, ended = an_event(call, ANSWERED, 8), an_event(call, ENDED, 128)
    for report in (answered, answered, ended, ended):
        await events.record(report)
    await events.record(an_event(call, ENDED, 300, event_id="again"))
    assert [(fact.event.value, fact.buyer, dict(fact.data)) for fact in outbox.facts] == [
        ("call.answered", "acme", {"attempt": 1}),
        (
            "call.converted",
            "acme",
            {"attempt": 1, "side": "buyer", "amount": "52.00", "trigger": "answered"},
        ),
        (
            "call.converted",
            None,
            {"attempt": 1, "side": "source", "amount": "13.00", "trigger": "answered"},
        ),
        ("call.ended", "acme", {"attempt": 1}),
    ]
    assert {fact.at for fact in outbox.facts} == {answered.at, ended.at}
    assert {fact.campaign for fact in outbox.facts} == {CAMPAIGN}


async def test_an_end_that_implies_the_answer_tells_of_both(
    database: Database, ledger: PostgresLedger
) -> None:
    outbox = Listening()
    events = CallEvents(database, ignore, outbox=outbox)
    call = a_recent_call()
    await route(ledger, call)
    ended = an_event(call, ENDED, 128, connected_duration_s=Decimal(120))
    await events.record(ended)
    await events.record(an_event(call, ANSWERED, 9))
    assert outbox.told == ["call.answered", "call.ended", "call.converted"]
    assert outbox.facts[0].at == ended.at - timedelta(seconds=120)


async def test_a_caller_converts_once_at_an_offer_within_its_days(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    cheap = ConversionRule(Trigger.ANSWERED, amount=Decimal("5.00"))
    acme = a_candidate(conversions=(ONCE_A_MONTH, cheap))
    other = a_candidate("other", conversions=(ONCE_A_MONTH, cheap))
    for name, candidate in (("first", acme), ("again", acme), ("elsewhere", other)):
        await route(ledger, a_recent_call(name), candidate)
        assert await events.record(an_event(a_recent_call(name), ANSWERED, 8)) is APPLIED
    stranger = a_recent_call("stranger", caller=from_number(7))
    await route(ledger, stranger, acme)
    await events.record(an_event(stranger, ANSWERED, 8))
    amounts = {name: await sides(database, name) for name in ("first", "again", "elsewhere")}
    assert {name: each["buyer"][2] for name, each in amounts.items()} == {
        "first": PRICE,
        "again": Decimal(5),
        "elsewhere": PRICE,
    }
    assert (await sides(database, "stranger"))["buyer"][2] == PRICE
    assert today(await usage_of(database))[0] == (3, 3, 3, 520_000 + 50_000 + 520_000)


async def test_a_source_earns_once_for_a_caller_of_a_campaign(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    rule = pays("8.00", days=30)
    for name, offer, source in (
        ("first", "acme-auto", "pub-17"),
        ("again", "other", "pub-17"),
        ("another source", "acme-auto", "pub-18"),
    ):
        call = a_recent_call(name, source=SourceId(source))
        await route(ledger, call, a_candidate(offer, payouts=(rule,)))
        await events.record(an_event(call, ANSWERED, 8))
    assert set(await sides(database, "first")) == {"buyer", "source"}
    assert set(await sides(database, "again")) == {"buyer"}
    assert set(await sides(database, "another source")) == {"buyer", "source"}


@pytest.mark.parametrize("days", [29, 31])
async def test_a_conversion_that_is_long_past_stands_in_nobodys_way(
    database: Database, ledger: PostgresLedger, events: CallEvents, days: int
) -> None:
    candidate = a_candidate(conversions=(ONCE_A_MONTH,))
    for name in ("first", "again"):
        await route(ledger, a_recent_call(name), candidate)
    await events.record(an_event(a_recent_call("first"), ANSWERED, -days * 86_400))
    await events.record(an_event(a_recent_call("again"), ANSWERED, 8))
    assert bool(await sides(database, "again")) is (days > 30)


async def test_withheld_callers_are_never_taken_for_each_other(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    candidate = a_candidate(conversions=(ONCE_A_MONTH,), payouts=(pays("8.00", days=30),))
    for name in ("first", "again"):
        await route(ledger, a_recent_call(name, caller=Caller(None)), candidate)
        await events.record(an_event(a_recent_call(name), ANSWERED, 8))
    assert await sides(database, "first") == await sides(database, "again")
    assert len(await sides(database, "again")) == 2


async def test_two_calls_of_a_caller_in_one_batch_convert_once(
    database: Database, ledger: PostgresLedger
) -> None:
    sizes: list[int] = []
    events = CallEvents(database, ignore, observe=lambda size, _: sizes.append(size))
    candidate = a_candidate(conversions=(ONCE_A_MONTH,), payouts=(pays("8.00", days=30),))
    calls = [a_recent_call(f"call-{number}") for number in range(3)]
    for call in calls:
        await route(ledger, call, candidate)
    reports = (events.record(an_event(call, ANSWERED, 8)) for call in calls)
    assert await asyncio.gather(*reports) == [APPLIED] * 3
    assert sizes == [3]
    assert sorted(side for side, *_ in await entries(database)) == ["buyer", "source"]
    await assert_balanced(database)


async def test_two_calls_of_a_caller_at_two_workers_convert_once(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    far = await Database.connect(dsn)
    workers = [CallEvents(each, ignore) for each in (database, far)]
    candidate = a_candidate(conversions=(ONCE_A_MONTH,), payouts=(pays("8.00", days=30),))
    for number in range(25):
        calls = [
            a_recent_call(f"call-{number}-{which}", caller=from_number(number)) for which in (0, 1)
        ]
        for call in calls:
            await route(ledger, call, candidate)
        results = await asyncio.gather(
            *(
                worker.record(an_event(call, ANSWERED, 8))
                for worker, call in zip(workers, calls, strict=True)
            )
        )
        assert results == [APPLIED] * 2
    found = [side for side, *_ in await entries(database)]
    assert (found.count("buyer"), found.count("source")) == (25, 25)
    assert today(await usage_of(database)) == ((50, 50, 25, 25 * 520_000), (0, 0, 25, 25 * 520_000))
    await assert_balanced(database)
    await assert_tied_out(database)
    await far.close()


async def test_a_caller_whom_somebody_keeps_locked_fails_only_reports_that_look_back(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    looks_back, plain = a_recent_call("looks back"), a_recent_call("plain")
    await route(ledger, looks_back, a_candidate(conversions=(ONCE_A_MONTH,)))
    await route(ledger, plain)
    reports = [an_event(call, ANSWERED, 8) for call in (looks_back, plain)]
    caller = VAULT.hash(plain.caller.number)
    assert caller is not None
    async with database.transaction() as connection:
        await connection.execute("select pg_advisory_xact_lock($1)", caller_key(caller))
        results = await asyncio.gather(*map(events.record, reports), return_exceptions=True)
    assert isinstance(results[0], StorageUnavailableError)
    assert results[1] is APPLIED
    assert await events.record(reports[0]) is APPLIED


async def test_a_conversion_of_an_answered_call_is_booked_when_its_lease_ends(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    outbox = Listening()
    earned: list[tuple[Side, Decimal]] = []
    cheap = ConversionRule(Trigger.ANSWERED, amount=Decimal("5.00"))
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(TIMER, cheap), payouts=(pays_share("50"),)))
    await events.record(an_event(call, ANSWERED, 8))
    await rewind(database, LEASE_OVER, [call.call_id])
    sweeper = Sweeper(database, on_earned=lambda _, __, *each: earned.append(each), outbox=outbox)
    assert await sweeper.sweep() == 1
    assert await entries(database) == [
        ("buyer", "booked", Decimal(5), "lease"),
        ("source", "booked", Decimal("2.5"), "lease"),
    ]
    assert (outbox.told, earned) == (
        ["call.converted"] * 2,
        [(Side.BUYER, Decimal(5)), (Side.SOURCE, Decimal("2.5"))],
    )
    assert [fact.buyer for fact in outbox.facts] == ["acme", None]
    await events.record(an_event(call, ENDED, 128))
    assert len(await entries(database)) == 2, "a side converts once"
    await assert_tied_out(database)
    await assert_balanced(database)


async def test_while_a_buyer_may_report_a_lost_calls_conversion_stays_pending(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ConversionRule(Trigger.POSTBACK),)))
    await events.record(an_event(call, ANSWERED, 8))
    await rewind(database, LEASE_OVER, [call.call_id])
    sweeper = Sweeper(database)
    assert await sweeper.sweep() == 1
    assert (await usage_of(database)).live == 0
    assert today(await usage_of(database)) == ((1, 1, 0, 0), (0, 0, 1, 520_000))
    assert await sweeper.sweep() == 0
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await sweeper.sweep() == 1
    assert today(await usage_of(database)) == ((1, 1, 0, 0), NOTHING)
    await assert_balanced(database)


async def test_a_route_that_earned_by_the_attempt_alone_keeps_that_when_it_is_lost(
    database: Database, ledger: PostgresLedger
) -> None:
    candidate = a_candidate(
        conversions=(ConversionRule(Trigger.ATTEMPT),), payouts=(pays("1.00", Trigger.ATTEMPT),)
    )
    call = a_recent_call()
    await route(ledger, call, candidate)
    assert [actor for *_, actor in await entries(database)] == ["routing"] * 2
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    assert len(await entries(database)) == 2
    assert today(await usage_of(database)) == ((0, 0, 1, 520_000), NOTHING)
    await assert_tied_out(database)


@pytest.mark.parametrize("reported", [False, True])
async def test_a_late_route_earns_by_the_attempt_only_when_the_call_went_there(
    database: Database, ledger: PostgresLedger, events: CallEvents, *, reported: bool
) -> None:
    call = a_recent_call()
    candidate = a_candidate(conversions=(ConversionRule(Trigger.ATTEMPT),))
    await route(ledger, call, candidate, late=True)
    if reported:
        await events.record(an_event(call, ANSWERED, 8))
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    assert bool(await sides(database)) is reported


async def test_the_ledger_of_money_is_appended_to_and_never_changed(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    await route(ledger, a_recent_call())
    await events.record(an_event(a_recent_call(), ANSWERED, 8))
    async with database.connection() as connection:
        for statement in (
            "update conversion_entries set change = 0",
            "delete from conversion_entries",
        ):
            with pytest.raises(asyncpg.RaiseError, match="never changed"):
                await connection.execute(statement)


async def test_what_was_withdrawn_is_not_booked_again_by_what_the_switch_reports(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(payouts=(pays("8.00", Trigger.TIMER, 30),)))
    answered = an_event(call, ANSWERED, 8)
    await events.record(answered)
    withdrawal = Entry(
        CallId("call-1"),
        Side.BUYER,
        1,
        EntryKind.WITHDRAWN,
        Trigger.ANSWERED,
        Decimal(0),
        -PRICE,
        answered.at,
        "buyer:acme",
    )
    async with database.transaction() as connection:
        await write_progress(connection, (), [withdrawal])
        await connection.execute("update reservations set converted_at = null")
    await events.record(an_event(call, ENDED, 128))
    assert await entries(database) == [
        ("buyer", "booked", PRICE, "switch"),
        ("buyer", "withdrawn", -PRICE, "buyer:acme"),
        ("source", "booked", Decimal(8), "switch"),
    ]
    await assert_tied_out(database)
