"""The calls that one buyer took, read page by page."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from auction.domain.call import Caller
from auction.domain.ids import BuyerId
from auction.domain.switch_events import EndedBy, EventType
from auction.domain.tie_out import SoldCall
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.queries import query
from storage.tie_out import LONGEST_SEARCH, read_sold
from tests.ledger_steps import (
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    an_event,
    from_number,
    open_call,
    reserve,
    rewind,
    route,
)
from tests.money_steps import fail_over

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


async def sold(
    database: Database, buyer: str = "acme", page: int = 5000, **limits: datetime
) -> list[SoldCall]:
    now = datetime.now(UTC)
    since, until = limits.get("since", now - HOUR), limits.get("until", now + HOUR)
    pages = read_sold(database, VAULT, BuyerId(buyer), since, until, page)
    return [call async for each in pages for call in each]


async def test_a_call_that_was_sold_comes_with_its_caller_times_and_revenue(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(price="52.5", bid_id="bid-7"))
    events = CallEvents(database, lambda _: None)
    await events.record(an_event(call, EventType.ANSWERED, 8))
    await events.record(an_event(call, EventType.ENDED, 128, ended_by=EndedBy.CALLER))
    (found,) = await sold(database)
    assert (found.call_id, found.attempt, found.due) == (call.call_id, 1, True)
    assert found.ids >= {call.call_id, "acme-auto-post"}
    assert found.caller == call.caller.number
    assert abs(found.start - call.received_at) < timedelta(seconds=30)
    assert (found.total_s, found.connected_s) == (Decimal(128), Decimal(120))
    assert found.amount == Decimal("52.5")


async def test_a_call_that_has_only_been_routed_is_worth_nothing_yet(
    database: Database, ledger: PostgresLedger
) -> None:
    await route(ledger, a_recent_call(caller=Caller()))
    (found,) = await sold(database)
    assert (found.caller, found.total_s, found.connected_s) == (None, None, None)
    assert found.amount == 0


async def test_other_buyers_holds_and_calls_without_a_route_are_not_there(
    database: Database, ledger: PostgresLedger
) -> None:
    await route(ledger, a_recent_call("theirs"), a_candidate("beacon-auto", buyer="beacon"))
    await reserve(ledger, a_recent_call("held"))
    nobody = a_recent_call("nobody")
    await open_call(ledger, nobody)
    await ledger.finish(a_finish(nobody, None))
    assert await sold(database) == []
    assert [call.call_id for call in await sold(database, "beacon")] == ["theirs"]


async def test_tests_and_failed_attempts_need_not_be_listed(
    database: Database, ledger: PostgresLedger
) -> None:
    await route(ledger, a_recent_call("a-test", test=True))
    await route(ledger, a_recent_call("failed"))
    await rewind(
        database,
        "update reservations set state = 'failed' where call_id = any($1)",
        [a_recent_call("failed").call_id],
    )
    assert {call.call_id: call.due for call in await sold(database)} == {
        "a-test": False,
        "failed": False,
    }


async def test_a_sold_attempt_before_the_latest_has_its_own_connected_time(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    events = CallEvents(database, lambda _: None)
    await route(ledger, call)
    beacon = a_candidate("beacon-auto", buyer="beacon")
    await fail_over(ledger, call, beacon)
    for attempt, at_s in ((1, 5), (2, 40)):
        for kind, later in ((EventType.ANSWERED, 0), (EventType.ENDED, 20 * attempt)):
            event_id = f"{attempt}-{kind.value}"
            report = an_event(call, kind, at_s + later, attempt=attempt, event_id=event_id)
            await events.record(report)
    [first], [second] = await sold(database), await sold(database, "beacon")
    assert [first.amount, first.connected_s, first.total_s] == [52, 20, 80]
    assert [second.amount, second.connected_s, second.total_s] == [0, 40, 80]


async def test_a_conversion_that_was_withdrawn_or_is_anothers_earns_nothing(
    database: Database, ledger: PostgresLedger
) -> None:
    money = """
        insert into conversions (call_id, side, attempt, amount, trigger, at, withdrawn)
        values ($1, $2, $3, 52, 'answered', now(), $4)
    """
    sales = [
        ("withdrawn", "buyer", 1, True),
        ("payout", "source", 1, False),
        ("later", "buyer", 2, False),
        ("earned", "buyer", 1, False),
    ]
    async with database.connection() as connection:
        for number, sale in enumerate(sales):
            await route(ledger, a_recent_call(sale[0], caller=from_number(number)))
            await connection.execute(money, *sale)
    assert {call.call_id: call.amount for call in await sold(database)} == {
        "withdrawn": 0,
        "payout": 0,
        "later": 0,
        "earned": 52,
    }


async def test_pages_of_any_size_give_every_call_once_in_order(
    database: Database, ledger: PostgresLedger
) -> None:
    at = datetime.now(UTC)
    for number in range(7):
        buyer = "acme" if number % 2 else "beacon"
        # Several arrive at the same moment.
        call = a_recent_call(f"c-{number}", received_at=at + timedelta(seconds=number // 3))
        await route(ledger, call, a_candidate(f"{buyer}-auto", buyer=buyer))
    for page in (1, 2, 3, 7, 8):
        assert [call.call_id for call in await sold(database, page=page)] == ["c-1", "c-3", "c-5"]


async def test_the_time_asked_for_is_that_of_the_route_not_of_the_arrival(
    database: Database, ledger: PostgresLedger
) -> None:
    now = datetime.now(UTC)
    await route(ledger, a_recent_call(received_at=now - timedelta(minutes=20)))
    (found,) = await sold(database, since=now - timedelta(minutes=1))
    assert await sold(database, since=found.start, until=found.start) == []
    assert await sold(database, since=found.start) == [found]
    assert await sold(database, until=found.start) == []
    assert await sold(database, since=now + LONGEST_SEARCH + HOUR) == []


FILL = """
    insert into calls (
        call_id, fingerprint, decide_by, received_at, revision, test, caller_hash, sealed
    )
    select 'c-' || n, '', now(), now() - n * interval '1 minute', 1, false, int4send(n), ''
    from generate_series(1, 3000) as n;

    insert into reservations (
        call_id, attempt, state, position, campaign, offer, buyer, routed_by, price, terms, holding,
        lease_until
    )
    select call_id, 1, 'routed', 0, 'c', 'o', 'acme', 'auction', 1, '{}', '[]', now() from calls;

    insert into conversions (call_id, side, attempt, amount, trigger, at)
    select call_id, 'buyer', 1, 1, 'answered', now() from calls;

    analyze;
"""
NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("tie_out_page_end", (NOW - HOUR, "", NOW, 20)),
        ("tie_out_page", ("acme", NOW - HOUR, "", NOW - HOUR / 2, "c", NOW)),
        ("tie_out_page", ("acme", NOW - HOUR, "", None, None, NOW)),
    ],
)
async def test_a_page_reads_no_table_whole(
    database: Database, name: str, values: tuple[object, ...]
) -> None:
    async with database.connection() as connection:
        await connection.execute(FILL)
        rows = await connection.fetch(f"explain {query(name)}", *values)
    plan = "\n".join(row[0] for row in rows)
    assert "calls_by_arrival" in plan, plan
    assert "Seq Scan" not in plan, plan
