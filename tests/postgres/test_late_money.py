"""Late decisions of which a buyer or the switch has spoken: the call is not sold a second time."""

from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.call import Call
from auction.domain.finishing import Finished
from auction.domain.ids import BuyerId, SourceId
from auction.domain.next_attempt import Rerouting
from auction.domain.opening import AlreadyDecided, Opened, OtherContent
from auction.domain.postbacks import (
    NamedBy,
    Postback,
    PostbackResult,
    Refused,
    Reported,
    ReportResult,
    ReportStatus,
)
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import ConversionRule, Trigger
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.postbacks import Named, Postbacks
from storage.sweeper import Sweeper
from tests.ledger_steps import (
    LEASE_OVER,
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    a_request,
    an_event,
    an_opening,
    assert_balanced,
    from_number,
    open_call,
    reserve,
    rewind,
    route,
)
from tests.next_steps import a_failure, reroute, route_first, route_next
from tests.routing_steps import a_call_of, entries, hold_of

SOLD = a_candidate(conversions=(ConversionRule(Trigger.POSTBACK),))
BEACON = a_candidate("beacon-auto", buyer="beacon")
BUSY = a_candidate("busy-auto", buyer="busy", conversions=())
LATE: dict[str, Any] = {"late": True, "lease_ms": 5_000, "collected_lease_ms": 85_000}


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def postbacks(database: Database) -> Postbacks:
    return Postbacks(database)


def a_report(event_id: str = "e-1") -> Postback:
    """Acme reports that the call converted."""
    return Postback(
        NamedBy.CALL_ID,
        "call-1",
        BuyerId("acme"),
        ReportStatus.CONVERTED,
        b"converted",
        event_id,
        Decimal("40.00"),
    )


def result_of(answer: PostbackResult) -> ReportResult:
    assert isinstance(answer, Reported), answer
    return answer.result


async def lapse(database: Database, call: Call) -> None:
    """The switch never came for the late decision."""
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1


async def assert_sold_once(database: Database, attempt: int) -> None:
    """What acme owes is of the attempt that it was sold."""
    booked = [each[1:] for each in await entries(database)]
    hold = await hold_of(database, attempt)
    assert booked == [("buyer", attempt, "buyer:acme", Decimal("40.00"))]
    assert hold["buyer"] == "acme"
    assert hold["converted_at"] is not None
    await assert_balanced(database)


@pytest.mark.parametrize("reported_first", [True, False])
async def test_a_late_route_that_its_buyer_has_reported_is_not_decided_anew(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks, reported_first: bool
) -> None:
    call = a_call_of()
    await route(ledger, call, SOLD, **LATE, answer=b"late")
    if reported_first:
        assert result_of(await postbacks.report(a_report())) is ReportResult.BOOKED
        await lapse(database, call)
    else:
        await lapse(database, call)
        assert result_of(await postbacks.report(a_report())) is ReportResult.BOOKED
    assert await ledger.open(an_opening(call)) == AlreadyDecided(b"late")
    assert await ledger.open(an_opening(call, fingerprint=b"other")) == OtherContent()
    await assert_sold_once(database, 1)


@pytest.mark.parametrize("reported_first", [True, False])
async def test_a_late_further_route_that_its_buyer_has_reported_is_not_decided_anew(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks, reported_first: bool
) -> None:
    call = a_call_of()
    await route(ledger, call, BUSY)
    answer = await route_next(ledger, await reroute(ledger, call), SOLD, **LATE)
    if reported_first:
        assert result_of(await postbacks.report(a_report())) is ReportResult.BOOKED
        await lapse(database, call)
    else:
        await lapse(database, call)
        assert result_of(await postbacks.report(a_report())) is ReportResult.BOOKED
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(answer)
    await assert_sold_once(database, 2)


async def test_a_call_that_binds_nobody_is_not_passed_on_while_its_buyer_owes(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    call = a_call_of()
    await route(ledger, call, BUSY)
    answer = await route_next(ledger, await reroute(ledger, call), SOLD, **LATE)
    await lapse(database, call)
    assert result_of(await postbacks.report(a_report())) is ReportResult.BOOKED
    async with database.connection() as connection:
        await connection.execute("update calls set binding = false")
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(answer)


async def test_what_is_being_decided_anew_is_sold_to_nobody_yet(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    call = a_call_of()
    await route(ledger, call, SOLD, **LATE)
    await lapse(database, call)
    again = await ledger.open(an_opening(call))
    assert isinstance(again, Opened)
    assert await postbacks.report(a_report()) is Refused.UNKNOWN_CALL
    await ledger.reserve(a_request(call, BEACON, epoch=again.epoch))
    assert await ledger.finish(a_finish(call, BEACON, epoch=again.epoch)) == Finished()
    assert await postbacks.report(a_report()) is Refused.UNKNOWN_CALL
    assert await entries(database) == []
    await assert_balanced(database)


async def test_a_further_route_that_is_being_decided_anew_is_sold_to_nobody_yet(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    call = a_call_of()
    await route(ledger, call, BUSY)
    await route_next(ledger, await reroute(ledger, call), SOLD, **LATE)
    await lapse(database, call)
    again = await ledger.open_next(a_failure(call))
    assert isinstance(again, Rerouting)
    assert await postbacks.report(a_report()) is Refused.UNKNOWN_CALL
    await route_next(ledger, again, BEACON)
    assert await entries(database) == []
    await assert_balanced(database)


async def test_an_earlier_attempt_is_still_reported_while_another_is_being_decided(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    call = a_call_of()
    await route(ledger, call, SOLD)
    answered = an_event(call, EventType.ANSWERED, 2)
    assert await CallEvents(database, lambda _: None).record(answered) is EventResult.APPLIED
    await reroute(ledger, call)
    assert result_of(await postbacks.report(a_report())) is ReportResult.BOOKED
    await assert_sold_once(database, 1)


async def test_a_report_that_came_before_is_known_while_the_call_is_decided_anew(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    call = a_call_of()
    await route(ledger, call, SOLD, **LATE)
    assert result_of(await postbacks.report(a_report())) is ReportResult.BOOKED
    async with database.connection() as connection:
        await connection.execute("update calls set state = 'deciding'")
    assert result_of(await postbacks.report(a_report())) is ReportResult.REPEATED


async def test_a_late_further_route_is_fetched_for_good(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    call = a_call_of()
    await route(ledger, call, BUSY)
    answer = await route_next(ledger, await reroute(ledger, call), a_candidate(), **LATE)
    async with database.connection() as connection:
        flushed = await connection.fetchval("show synchronous_commit")
        await connection.execute("""
            create table seen (flushed text);
            create function look() returns trigger language plpgsql as $$ begin
                insert into seen values (current_setting('synchronous_commit'));
                return null;
            end $$;
            create constraint trigger look after update on reservations
                deferrable initially deferred for each row execute function look();
        """)
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(answer)
    async with database.connection() as connection:
        seen = await connection.fetch("select flushed from seen")
    assert flushed == "on"
    assert [row["flushed"] for row in seen] == ["on"]


async def test_no_route_whose_call_has_ended_is_not_decided_anew(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_call_of()
    await open_call(ledger, call)
    finish = a_finish(call, None, binding=False, late=True)
    assert await ledger.finish(finish) == Finished()
    ended = an_event(call, EventType.ENDED, 5, attempt=None)
    assert await CallEvents(database, lambda _: None).record(ended) is EventResult.APPLIED
    assert await ledger.open(an_opening(call)) == AlreadyDecided(finish.answer)
    assert await ledger.open(an_opening(call, fingerprint=b"other")) == OtherContent()


async def test_no_further_route_whose_call_has_ended_is_not_decided_anew(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_call_of()
    await route(ledger, call, BUSY)
    again = await reroute(ledger, call)
    ours = {"epoch": again.epoch, "attempt": 2, "binding": False, "late": True}
    finish = a_finish(call, None, **ours, answer=b"none")
    assert await ledger.finish(finish) == Finished()
    ended = an_event(call, EventType.ENDED, 5, attempt=None)
    assert await CallEvents(database, lambda _: None).record(ended) is EventResult.APPLIED
    assert await ledger.open_next(a_failure(call)) == AlreadyDecided(b"none")


async def test_a_hold_that_is_taken_anew_is_of_the_call_as_it_came_then(
    database: Database, ledger: PostgresLedger
) -> None:
    first = a_call_of(source=SourceId("pub-1"), caller=from_number(1))
    await reserve(ledger, first, SOLD)
    assert await ledger.finish(a_finish(first, None, binding=False, late=True)) == Finished()
    second = a_call_of(source=SourceId("pub-2"), caller=from_number(2))
    again = await ledger.open(an_opening(second, fingerprint=b"other"))
    assert isinstance(again, Opened)
    await ledger.reserve(a_request(second, BEACON, epoch=again.epoch))
    assert await ledger.finish(a_finish(second, BEACON, epoch=again.epoch)) == Finished()
    hold = await hold_of(database)
    assert hold["source"] == "pub-2"
    assert hold["caller_hash"] == VAULT.hash(second.caller.number)
    await assert_balanced(database)


async def test_a_report_finds_the_attempt_that_was_sold_while_it_waited(
    database: Database,
    ledger: PostgresLedger,
    postbacks: Postbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call, find = a_call_of(), postbacks._find
    await route_first(ledger, call, SOLD)
    found: list[Named | None] = []

    async def find_then_pass_on(postback: Postback) -> Named | None:
        found.append(await find(postback))
        if len(found) == 1:
            other = a_candidate("second-auto", conversions=SOLD.conversions)
            await route_next(ledger, await reroute(ledger, call), other)
        return found[-1]

    monkeypatch.setattr(postbacks, "_find", find_then_pass_on)
    assert result_of(await postbacks.report(a_report())) is ReportResult.BOOKED
    assert [named and named.attempt for named in found] == [1, 2]
    await assert_sold_once(database, 2)
