"""What subscribers are told of a route, and that nobody else pays for it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.finishing import Finished
from auction.domain.ids import BuyerId, CampaignId, OwnerId
from auction.domain.plan import Candidate
from auction.domain.terms import (
    Cap,
    ConversionRule,
    Measure,
    Period,
    Subscriber,
    Trigger,
    WebhookEvent,
)
from storage.database import Connection, Database
from storage.ledger import PostgresLedger
from storage.outbox import Fact, Outbox
from storage.queries import query
from tests.builders import CAMPAIGN
from tests.ledger_steps import (
    BUYER_OWNER,
    OFFER_OWNER,
    a_candidate,
    a_finish,
    a_ledger,
    daily_calls,
    limits,
    open_call,
    reserve,
    route,
    usage_of,
)
from tests.routing_steps import (
    ALL_TOLD,
    ATTEMPT,
    PAYOUT,
    Noticing,
    a_call_of,
    finish,
    routed,
)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest.mark.parametrize("named", [CAMPAIGN, None])
async def test_a_route_is_told_once(database: Database, named: CampaignId | None) -> None:
    outbox, call = Noticing(WebhookEvent.CALL_ROUTED), a_call_of(campaign=named)
    await routed(database, call, a_candidate(), outbox)
    assert await finish(database, a_finish(call, a_candidate()), outbox=outbox) != [Finished()]
    (fact,) = outbox.facts
    assert (fact.event, fact.call_id, fact.campaign, fact.buyer, fact.data) == (
        WebhookEvent.CALL_ROUTED,
        call.call_id,
        CAMPAIGN,
        "acme",
        {"attempt": 1},
    )


async def test_no_route_is_nothing_to_tell(database: Database, ledger: PostgresLedger) -> None:
    outbox, call = Noticing(*ALL_TOLD), a_call_of()
    await reserve(ledger, call)
    assert await finish(database, a_finish(call, None), outbox=outbox) == [Finished()]
    assert outbox.facts == []
    assert (await usage_of(database)).live == 0


async def test_what_is_booked_is_told_and_payouts_are_no_business_of_buyers(
    database: Database,
) -> None:
    outbox = Noticing(WebhookEvent.CALL_CONVERTED)
    candidate = a_candidate(conversions=(ATTEMPT,), payouts=(PAYOUT,))
    await routed(database, a_call_of(), candidate, outbox)
    converted = [fact for fact in outbox.facts if fact.event is WebhookEvent.CALL_CONVERTED]
    assert [(fact.buyer, fact.data["side"], fact.data["amount"]) for fact in converted] == [
        (BuyerId("acme"), "buyer", "52.00"),
        (None, "source", "8.00"),
    ]


async def test_the_record_is_written_before_it_is_told_of(database: Database) -> None:
    seen: list[tuple[str, Decimal]] = []

    class Reading(Noticing):
        async def write(self, connection: Connection, facts: Sequence[Fact]) -> None:
            state = await connection.fetchval("select state from calls")
            booked = await connection.fetchval("select sum(amount) from conversions")
            seen.append((state, booked))

    outbox = Reading(*ALL_TOLD)
    await routed(database, a_call_of(), a_candidate(conversions=(ATTEMPT,)), outbox)
    assert seen == [("routed", Decimal("52.00"))]


def capped(*caps: Cap, of_buyer: Sequence[Cap] = (), **changes: Any) -> Candidate:
    """A candidate with caps of its offer and its buyer."""
    return a_candidate(
        offer_limits=limits(OFFER_OWNER, *caps),
        buyer_limits=limits(BUYER_OWNER, *of_buyer),
        **changes,
    )


async def test_the_call_that_takes_a_caps_last_unit_is_told_of(database: Database) -> None:
    outbox = Noticing(WebhookEvent.CAP_REACHED)
    candidate = capped(daily_calls(2), Cap(Measure.CALLS, Period.MONTH, 3))
    await routed(database, a_call_of("first"), candidate, outbox)
    assert outbox.told(WebhookEvent.CAP_REACHED) == []
    await routed(database, a_call_of("second"), candidate, outbox)
    (told,) = outbox.told(WebhookEvent.CAP_REACHED)
    start = told["window_start"]
    assert isinstance(start, str)
    assert told == {
        "attempt": 1,
        "owner": OFFER_OWNER,
        "measure": "calls",
        "per": "day",
        "limit": 2,
        "window_start": start,
    }
    assert datetime.fromisoformat(start) <= datetime.now(UTC)


async def test_every_measure_of_offer_and_buyer_is_looked_at(database: Database) -> None:
    outbox = Noticing(WebhookEvent.CAP_REACHED)
    total = Cap(Measure.REVENUE, Period.TOTAL, 520_000)
    candidate = capped(Cap(Measure.ANSWERED, Period.HOUR, 1), of_buyer=(total, daily_calls(2)))
    await routed(database, a_call_of(), candidate, outbox)
    told = outbox.told(WebhookEvent.CAP_REACHED)
    assert [(each["owner"], each["measure"], each["limit"]) for each in told] == [
        (OFFER_OWNER, "answered", 1),
        (BUYER_OWNER, "revenue", "52.00"),
    ]
    assert (told[1]["per"], told[1]["window_start"]) == ("total", None)


async def test_a_cap_that_the_call_does_not_count_under_is_not_told_of(
    database: Database,
) -> None:
    outbox = Noticing(WebhookEvent.CAP_REACHED)
    cap = Cap(Measure.REVENUE, Period.DAY, 520_000)
    await routed(database, a_call_of("paid"), capped(cap))
    free = capped(cap, price="0", units=(1, 1, 0, 0))
    await routed(database, a_call_of("free"), free, outbox)
    assert outbox.told(WebhookEvent.CAP_REACHED) == []


async def test_what_an_attempt_conversion_gives_back_leaves_the_cap_unreached(
    database: Database,
) -> None:
    outbox = Noticing(WebhookEvent.CAP_REACHED)
    rule = ConversionRule(Trigger.ATTEMPT, amount=Decimal("20.00"))
    candidate = capped(Cap(Measure.REVENUE, Period.DAY, 520_000), conversions=(rule,))
    await routed(database, a_call_of(), candidate, outbox)
    assert outbox.told(WebhookEvent.CAP_REACHED) == []


async def test_a_cap_is_told_of_once_in_each_of_its_windows(database: Database) -> None:
    outbox = Noticing(WebhookEvent.CAP_REACHED)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await routed(
        database, a_call_of("before", received_at=yesterday), capped(daily_calls(1)), outbox
    )
    await routed(database, a_call_of("first"), capped(daily_calls(1)), outbox)
    await routed(database, a_call_of("raised"), capped(daily_calls(2)), outbox)
    starts = [told["window_start"] for told in outbox.told(WebhookEvent.CAP_REACHED)]
    assert len(starts) == len(set(starts)) == 2


async def test_of_calls_that_reach_a_cap_at_once_one_is_told_of(dsn: str) -> None:
    databases = [await Database.connect(dsn) for _ in range(4)]
    for number in range(8):
        owner = OwnerId(f"offer:offer-{number}")
        candidate = a_candidate(
            f"offer-{number}", offer_limits=limits(owner, daily_calls(4)), buyer=f"buyer-{number}"
        )
        calls = [a_call_of(f"{number}-{place}") for place in range(4)]
        for database, call in zip(databases, calls, strict=True):
            await reserve(a_ledger(database), call, candidate)
        outboxes = [Noticing(WebhookEvent.CAP_REACHED) for _ in databases]
        results = await asyncio.gather(
            *(
                finish(database, a_finish(call, candidate), outbox=outbox)
                for database, call, outbox in zip(databases, calls, outboxes, strict=True)
            )
        )
        assert results == [[Finished()]] * 4
        told = [outbox.told(WebhookEvent.CAP_REACHED) for outbox in outboxes]
        assert sum(map(len, told)) == 1
    for database in databases:
        await database.close()


async def test_caps_that_nobody_asks_for_are_not_noted(database: Database) -> None:
    await routed(database, a_call_of(), capped(daily_calls(1)), Noticing(WebhookEvent.CALL_ROUTED))
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from caps_reached") == 0


async def test_a_decision_of_which_nothing_follows_is_one_statement(
    dsn: str, ledger: PostgresLedger
) -> None:
    one = await Database.connect(dsn, max_size=1)
    statements: list[str] = []
    calls = [a_call_of("sold"), a_call_of("test", test=True), a_call_of("nowhere")]
    await reserve(ledger, calls[0])
    unbilled = a_candidate(owners=(), conversions=(ATTEMPT,))
    await reserve(ledger, calls[1], unbilled)
    await open_call(ledger, calls[2])
    decisions = [
        a_finish(calls[0], a_candidate()),
        a_finish(calls[1], unbilled),
        a_finish(calls[2], None),
    ]
    outbox = Noticing(WebhookEvent.CALL_ANSWERED, WebhookEvent.CALL_ENDED)
    # asyncpg asks for the types of a statement that a connection has not seen before.
    await finish(one, a_finish(a_call_of("unknown"), None))
    async with one.connection() as connection:
        connection.add_query_logger(lambda record: statements.append(record.query))
    assert await finish(one, *decisions, outbox=outbox) == [Finished()] * 3
    # asyncpg tells of a statement in the loop's next turn.
    await asyncio.sleep(0)
    assert statements == [query("finish_calls")]
    await one.close()


async def test_the_ledger_leaves_deliveries_with_the_record_of_the_route(
    database: Database,
) -> None:
    webhook = Subscriber(f"campaign:{CAMPAIGN}", "hook", frozenset(ALL_TOLD))
    ledger = a_ledger(database, outbox=Outbox(lambda _campaign, _buyer: [webhook]))
    await route(ledger, a_call_of(), capped(daily_calls(1), conversions=(ATTEMPT,)))
    async with database.connection() as connection:
        rows = await connection.fetch("select event, facts from webhook_deliveries order by event")
    assert [row["event"] for row in rows] == ["call.converted", "call.routed", "cap.reached"]
    assert all('"routed"' in row["facts"] for row in rows)
