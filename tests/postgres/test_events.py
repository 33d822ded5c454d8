"""What the switch reports: applied once, in any order, settled under the terms of the sale."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.conversions import Side
from auction.domain.ids import CampaignId, OwnerId
from auction.domain.switch_events import CallEvent, EndedBy, EventResult, EventType
from auction.domain.terms import ConversionRule, Trigger
from auction.domain.usage import NOTHING, Usage
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from tests.builders import CAMPAIGN
from tests.ledger_steps import (
    LOCK_CALL,
    LOCK_OWNER,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    all_usage,
    an_event,
    assert_balanced,
    open_call,
    reserve,
    route,
    today,
    usage_of,
)
from tests.money_steps import Listening, entries

APPLIED, IGNORED = EventResult.APPLIED, EventResult.IGNORED


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, ignore)


def ignore(_: object) -> None:
    """Nobody looks at usage here."""


async def call_row(database: Database) -> asyncpg.Record:
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from calls")
    assert row is not None
    return row


async def revenue(database: Database) -> list[tuple[str, Decimal]]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select trigger, amount from conversions where side = 'buyer' order by at"
        )
    return [(row["trigger"], row["amount"]) for row in rows]


async def test_a_call_is_answered_and_ends(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    assert await events.record(an_event(call, EventType.ANSWERED, 8)) is APPLIED
    assert (await call_row(database))["state"] == "answered"
    assert today(await usage_of(database)) == ((1, 1, 1, 520_000), NOTHING)
    assert await revenue(database) == [("answered", Decimal("52.00"))]
    ended = an_event(call, EventType.ENDED, 128, ended_by=EndedBy.TARGET)
    assert await events.record(ended) is APPLIED
    row = await call_row(database)
    assert (row["state"], row["ended_by"]) == ("ended", "target")
    assert row["answered_at"] == call.received_at + timedelta(seconds=8)
    assert (row["total_duration_s"], row["connected_duration_s"]) == (128, 120)
    assert (await usage_of(database)).live == 0
    assert today(await usage_of(database)) == ((1, 1, 1, 520_000), NOTHING)
    assert await revenue(database) == [("answered", Decimal("52.00"))]


async def test_a_repeat_changes_nothing(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    ended = an_event(call, EventType.ENDED, 128, connected_duration_s=Decimal(120))
    results = await asyncio.gather(*(events.record(ended) for _ in range(3)))
    assert results == [APPLIED, EventResult.REPEATED, EventResult.REPEATED]
    before = await all_usage(database)
    assert await events.record(ended) is EventResult.REPEATED
    assert await all_usage(database) == before


async def test_the_same_event_id_with_other_content_is_told_apart(
    ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    first = an_event(call, EventType.ANSWERED, 8, event_id="e")
    other = an_event(call, EventType.ENDED, 9, event_id="e")
    results = list(await asyncio.gather(events.record(first), events.record(other)))
    assert results == [APPLIED, EventResult.OTHER_CONTENT]
    assert await events.record(other) is EventResult.OTHER_CONTENT


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_report_of_an_attempt_never_given_may_be_sent_again_corrected(
    database: Database, ledger: PostgresLedger, events: CallEvents, *, at_once: bool
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    ahead = an_event(call, EventType.ANSWERED, 8, event_id="e", attempt=2)
    right = an_event(call, EventType.ANSWERED, 9, event_id="e", attempt=1)
    if at_once:
        results = list(await asyncio.gather(events.record(ahead), events.record(right)))
    else:
        results = [await events.record(ahead), await events.record(right)]
    assert results == [IGNORED, APPLIED]
    assert await events.record(right) is EventResult.REPEATED
    assert await events.record(ahead) is EventResult.OTHER_CONTENT
    assert (await call_row(database))["state"] == "answered"


async def test_one_report_to_two_workers_counts_once(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    far = await Database.connect(dsn)
    workers = [CallEvents(each, ignore) for each in (database, far)]
    for number in range(20):
        call = a_recent_call(f"call-{number}")
        await route(ledger, call)
        ended = an_event(call, EventType.ENDED, 60, connected_duration_s=Decimal(50))
        results = await asyncio.gather(*(worker.record(ended) for worker in workers))
        assert sorted(result.value for result in results) == ["applied", "repeated"]
    assert (await usage_of(database)).live == 0
    await assert_balanced(database)
    await far.close()


async def test_a_second_answer_or_end_counts_for_nothing(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    kinds = [EventType.ANSWERED, EventType.ANSWERED, EventType.ENDED, EventType.ENDED]
    results = [
        await events.record(an_event(call, kind, 10 + number, event_id=str(number)))
        for number, kind in enumerate(kinds)
    ]
    assert results == [APPLIED, IGNORED, APPLIED, IGNORED]
    assert (await usage_of(database)).live == 0
    assert len(await revenue(database)) == 1


async def test_reports_in_any_order_give_the_same(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    for number, order in enumerate(permutations([EventType.ANSWERED, EventType.ENDED])):
        call = a_recent_call(f"call-{number}")
        await route(ledger, call)
        times = {EventType.ANSWERED: 8.0, EventType.ENDED: 128.0}
        for kind in order:
            assert await events.record(an_event(call, kind, times[kind])) is APPLIED
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select distinct state, total_duration_s, connected_duration_s from calls"
        )
    assert [tuple(row) for row in rows] == [("ended", 128, 120)]
    assert today(await usage_of(database)) == ((2, 2, 2, 1_040_000), NOTHING)
    assert len(await revenue(database)) == 2


async def test_an_end_with_connected_time_implies_the_answer(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await events.record(an_event(call, EventType.ENDED, 128, connected_duration_s=Decimal("120.5")))
    assert today(await usage_of(database)) == ((1, 1, 1, 520_000), NOTHING)
    assert (await call_row(database))["connected_duration_s"] == Decimal("120.5")


async def test_an_unanswered_end_keeps_the_call_and_gives_the_rest_back(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await events.record(an_event(call, EventType.ENDED, 30, connected_duration_s=Decimal(0)))
    usage = await usage_of(database)
    assert usage.live == 0
    assert today(usage) == ((1, 0, 0, 0), NOTHING)
    assert await revenue(database) == []


@pytest.mark.parametrize(("seconds", "earned"), [("89.999", []), ("90", [("timer", Decimal(20))])])
async def test_a_timer_rule_is_decided_at_the_end(
    database: Database,
    ledger: PostgresLedger,
    events: CallEvents,
    seconds: str,
    earned: list[tuple[str, Decimal]],
) -> None:
    rule = ConversionRule(Trigger.TIMER, 90, Decimal("20.00"))
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(rule,)))
    await events.record(an_event(call, EventType.ANSWERED, 1))
    assert await revenue(database) == []
    await events.record(an_event(call, EventType.ENDED, 128, connected_duration_s=Decimal(seconds)))
    assert await revenue(database) == earned
    used = (1, 1, 1, 200_000) if earned else (1, 1, 0, 0)
    assert today(await usage_of(database)) == (used, NOTHING)


async def test_a_test_call_earns_nothing(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call(test=True)
    await route(ledger, call, a_candidate(owners=()))
    assert await events.record(an_event(call, EventType.ANSWERED, 8)) is APPLIED
    assert await events.record(an_event(call, EventType.ENDED, 128)) is APPLIED
    assert await revenue(database) == []
    assert await all_usage(database) == {}


async def test_unknown_calls_and_calls_without_a_route_are_told_apart(
    ledger: PostgresLedger, events: CallEvents
) -> None:
    nowhere, deciding = a_recent_call("nowhere"), a_recent_call("deciding")
    await open_call(ledger, nowhere)
    await ledger.finish(a_finish(nowhere, None))
    await reserve(ledger, deciding)
    results = [
        await events.record(an_event(a_recent_call("unknown"), EventType.ENDED, 30)),
        await events.record(an_event(nowhere, EventType.ANSWERED, 30)),
        await events.record(an_event(deciding, EventType.ENDED, 30)),
    ]
    assert results == [
        EventResult.UNKNOWN_CALL,
        EventResult.NOT_ROUTED,
        EventResult.NOT_ROUTED,
    ]


@pytest.mark.parametrize("binding", [True, False])
async def test_the_end_of_a_call_that_had_nowhere_to_go_is_noted_once(
    database: Database, ledger: PostgresLedger, *, binding: bool
) -> None:
    outbox = Listening()
    events = CallEvents(database, ignore, outbox=outbox)
    call = a_recent_call()
    await reserve(ledger, call)
    await ledger.finish(a_finish(call, None, binding=binding))
    ended = an_event(call, EventType.ENDED, 30, attempt=None, ended_by=EndedBy.CALLER)
    assert await events.record(ended) is APPLIED
    assert await events.record(ended) is EventResult.REPEATED
    again = an_event(call, EventType.ENDED, 60, event_id="again")
    assert await events.record(again) is IGNORED
    row = await call_row(database)
    assert (row["state"], row["ended_by"], row["binding"]) == ("no_route", "caller", binding)
    assert (row["ended_at"], row["total_duration_s"]) == (ended.at, 30)
    assert (row["answered_at"], row["connected_duration_s"], row["offer"]) == (None, None, None)
    assert outbox.told == ["call.ended"]
    assert outbox.facts[0].buyer is None
    assert await entries(database) == []
    await assert_balanced(database)


async def test_a_report_that_came_too_early_may_be_repeated(
    ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await reserve(ledger, call)
    answered = an_event(call, EventType.ANSWERED, 1)
    assert await events.record(answered) is EventResult.NOT_ROUTED
    await ledger.finish(a_finish(call, a_candidate()))
    assert await events.record(answered) is APPLIED


async def test_a_report_without_an_attempt_is_about_the_current_one(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    assert await events.record(an_event(call, EventType.ANSWERED, 1, attempt=2)) is IGNORED
    assert await events.record(an_event(call, EventType.ENDED, 9, attempt=None)) is APPLIED
    assert (await usage_of(database)).live == 0


async def test_settling_depends_on_nothing_but_the_sale(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    """The offer may have other owners, rules and prices by now: the reservation has its own."""
    rule = ConversionRule(Trigger.ANSWERED, amount=Decimal("17.25"))
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(rule,), units=(1, 1, 1, 172_500)))
    async with database.connection() as connection:
        await connection.execute("update calls set price = 1, offer = 'other', buyer = 'other'")
    await events.record(an_event(call, EventType.ANSWERED, 8))
    assert await revenue(database) == [("answered", Decimal("17.25"))]
    assert today(await usage_of(database)) == ((1, 1, 1, 172_500), NOTHING)


async def test_a_window_that_has_gone_is_not_touched_by_what_is_settled_late(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    now = a_recent_call("now")
    calls = [
        a_recent_call(f"{days} days ago", received_at=now.received_at - timedelta(days=days))
        for days in (5, 4, 0)
    ]
    for call in calls:
        await route(ledger, call)
    before = (await usage_of(database)).periods[1]
    await events.record(an_event(calls[0], EventType.ENDED, 60, connected_duration_s=Decimal(50)))
    usage = await usage_of(database)
    assert usage.periods[1] == before
    assert usage.live == 2
    assert usage.periods[3].current.used == (3, 1, 1, 520_000)


async def test_a_batch_of_reports_settles_each_call_once(
    database: Database, ledger: PostgresLedger
) -> None:
    sizes: list[int] = []
    events = CallEvents(database, ignore, observe=lambda size, _: sizes.append(size))
    calls = [a_recent_call(f"call-{number}") for number in range(30)]
    await asyncio.gather(*(route(ledger, call) for call in calls))
    reports: list[CallEvent] = []
    for call in calls:
        reports.append(an_event(call, EventType.ANSWERED, 5))
        reports.append(an_event(call, EventType.ENDED, 65))
    results = await asyncio.gather(*(events.record(report) for report in reports))
    assert set(results) == {APPLIED}
    assert sizes == [60]
    assert (await usage_of(database)).live == 0
    assert today(await usage_of(database)) == ((30, 30, 30, 30 * 520_000), NOTHING)
    assert len(await revenue(database)) == 30


async def test_a_report_that_can_not_be_stored_fails_alone(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(4)]
    await asyncio.gather(*(route(ledger, call) for call in calls))
    reports = [an_event(call, EventType.ANSWERED, 5) for call in calls]
    reports[2] = an_event(calls[2], EventType.ANSWERED, 5, event_id="\0")
    results = await asyncio.gather(
        *(events.record(report) for report in reports), return_exceptions=True
    )
    assert isinstance(results.pop(2), asyncpg.PostgresError)
    assert results == [APPLIED] * 3
    assert today(await usage_of(database)) == ((4, 3, 3, 3 * 520_000), (0, 1, 1, 520_000))


async def test_listeners_hear_of_usage_and_earnings_once_they_are_stored(
    database: Database, ledger: PostgresLedger
) -> None:
    seen: dict[OwnerId, Usage] = {}
    earned: list[tuple[CampaignId | None, str, Side, Decimal]] = []
    events = CallEvents(
        database,
        seen.update,
        on_earned=lambda *each: earned.append(each),
    )
    call = a_recent_call()
    await route(ledger, call)
    for kind, at_s in ((EventType.ANSWERED, 8), (EventType.ENDED, 128)):
        await events.record(an_event(call, kind, at_s))
    assert seen == await all_usage(database)
    assert earned == [(CAMPAIGN, "USD", Side.BUYER, Decimal("52.00"))]


async def test_reports_of_locked_calls_fail_alone(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(4)]
    for call in calls:
        await route(ledger, call, a_candidate(f"offer-{call.call_id}", buyer=call.call_id))
    reports = [an_event(call, EventType.ANSWERED, 5) for call in calls]
    async with database.transaction() as connection:
        await connection.execute(LOCK_CALL, "call-1")
        await connection.execute(LOCK_OWNER, "offer:offer-call-2")
        results = await asyncio.gather(*map(events.record, reports), return_exceptions=True)
    assert [results[0], results[3]] == [APPLIED, APPLIED]
    assert all(isinstance(result, StorageUnavailableError) for result in results[1:3])
    assert [await events.record(report) for report in reports[1:3]] == [APPLIED, APPLIED]
    await assert_balanced(database)
