"""Calls listed page by page from a real database."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.call_list import CallFilter, CallOutcome, CallPlace
from auction.domain.call_record import AttemptRecord
from auction.domain.ids import BuyerId, CallId, CampaignId, OfferId
from auction.domain.plan import RoutedBy
from storage import call_lists
from storage.call_lists import CallLists
from storage.database import Database
from storage.queries import query
from storage.records import CallRecords
from tests.builders import a_call
from tests.call_rows import (
    CALL_VAULT,
    NEWEST,
    a_call_row,
    a_conversion_row,
    an_attempt_row,
    fill,
    put,
)

ALL = CallFilter()
ACME, BEACON = BuyerId("acme"), BuyerId("beacon")
NO_ROUTE: dict[str, Any] = {
    "state": "no_route",
    **dict.fromkeys(("routed_by", "offer", "buyer", "price", "answered_at")),
}


@pytest_asyncio.fixture
async def lists(database: Database) -> CallLists:
    return CallLists(CallRecords(database, CALL_VAULT))


async def store(database: Database, table: str, *rows: Any) -> None:
    async with database.connection() as connection:
        for row in rows:
            await put(connection, table, row)


async def ids(lists: CallLists, wanted: CallFilter = ALL, **bounds: Any) -> list[str]:
    page = await lists.list_calls(wanted, bounds.get("after"), bounds.get("limit", 100))
    return [each.call.call_id for each in page.calls]


async def walk(lists: CallLists, wanted: CallFilter, limit: int) -> list[str]:
    """All pages, one after the other."""
    found: list[str] = []
    after: CallPlace | None = None
    while True:
        page = await lists.list_calls(wanted, after, limit)
        assert len(page.calls) <= limit
        found += [each.call.call_id for each in page.calls]
        after = page.next
        if after is None:
            return found


async def test_a_listed_call_is_the_record_without_trace_and_earlier_routes(
    database: Database, lists: CallLists
) -> None:
    row = a_call_row("c-1", switch="s1", test=False)
    await store(database, "calls", row)
    await store(
        database,
        "reservations",
        an_attempt_row("c-1", 1, offer="beacon-auto", buyer="beacon", state="failed"),
        an_attempt_row("c-1", 2, routed_by="static"),
        an_attempt_row("c-1", 3, state="released"),
        an_attempt_row("c-1", 4, state="held"),
    )
    await store(database, "conversions", a_conversion_row("c-1"), a_conversion_row("c-1", "source"))
    (call,) = (await lists.list_calls(ALL, None, 10)).calls
    assert call.call.caller == a_call("c-1").caller
    assert call.call.received_at == NEWEST
    assert (call.call.switch, call.call.test) == ("s1", False)
    assert (call.revenue, call.payout) == (Decimal(52), Decimal(20))
    assert (call.converted, call.conversion_trigger) == (True, "answered")
    assert call.attempts == (
        AttemptRecord(1, OfferId("beacon-auto"), RoutedBy.AUCTION, Decimal(52), "failed"),
        AttemptRecord(2, OfferId("acme-auto"), RoutedBy.STATIC, Decimal(52), "ended"),
    )
    assert (call.trace, call.later_traces, call.past_calls) == (None, (), ())


async def test_a_listed_call_is_what_is_shown_of_it_alone(
    database: Database, lists: CallLists
) -> None:
    await fill(database, [1])
    (listed,) = (await lists.list_calls(ALL, None, 1)).calls
    alone = await CallRecords(database, CALL_VAULT).get_call(listed.call.call_id)
    assert alone == listed


async def test_a_withdrawn_conversion_is_none(database: Database, lists: CallLists) -> None:
    await store(database, "calls", a_call_row("c-1"))
    await store(database, "conversions", a_conversion_row("c-1", withdrawn=True))
    (call,) = (await lists.list_calls(ALL, None, 1)).calls
    assert (call.converted, call.conversion_trigger, call.revenue) == (False, None, Decimal(0))


async def test_newest_first_and_equal_arrivals_by_id(database: Database, lists: CallLists) -> None:
    second = timedelta(seconds=1)
    await store(
        database,
        "calls",
        a_call_row("b"),
        a_call_row("d"),
        a_call_row("c"),
        a_call_row("a", NEWEST + second),
        a_call_row("e", NEWEST - second),
    )
    assert await ids(lists) == ["a", "d", "c", "b", "e"]
    for limit in (1, 2, 3, 5):
        assert await walk(lists, ALL, limit) == ["a", "d", "c", "b", "e"]


async def test_the_first_moment_counts_and_the_last_does_not(
    database: Database, lists: CallLists
) -> None:
    for number in range(5):
        await store(
            database, "calls", a_call_row(f"c-{number}", NEWEST + timedelta(minutes=number))
        )
    between = CallFilter(since=NEWEST + timedelta(minutes=1), until=NEWEST + timedelta(minutes=3))
    assert await ids(lists, between) == ["c-2", "c-1"]
    assert await walk(lists, between, 1) == ["c-2", "c-1"]
    beyond = CallPlace(NEWEST + timedelta(minutes=3), CallId("c-3"))
    assert await ids(lists, between, after=beyond) == ["c-2", "c-1"]
    assert await ids(lists, replace(between, until=between.since)) == []


async def narrow_cases(database: Database) -> None:
    await store(
        database,
        "calls",
        a_call_row("plain"),
        a_call_row("static", routed_by="static", offer="cobalt-auto", buyer="cobalt"),
        a_call_row("none", campaign="health", reason="no_eligible_offer", **NO_ROUTE),
        a_call_row("unanswered", answered_at=None, source="pub-18"),
        a_call_row("lost", state="lost", answered_at=None),
        a_call_row("test", test=True),
    )
    await store(
        database,
        "conversions",
        a_conversion_row("plain"),
        a_conversion_row("static", withdrawn=True),
        a_conversion_row("lost", "source"),
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (CallFilter(), {"plain", "static", "none", "unanswered", "lost"}),
        (CallFilter(test=True), {"test"}),
        (CallFilter(campaign=CampaignId("health")), {"none"}),
        (CallFilter(offer=OfferId("cobalt-auto")), {"static"}),
        (CallFilter(buyer=ACME), {"plain", "unanswered", "lost"}),
        (CallFilter(source="pub-18"), {"unanswered"}),
        (CallFilter(outcome=CallOutcome.AUCTION), {"plain", "unanswered", "lost"}),
        (CallFilter(outcome=CallOutcome.STATIC), {"static"}),
        (CallFilter(outcome=CallOutcome.ROUTED), {"plain", "static", "unanswered", "lost"}),
        (CallFilter(outcome=CallOutcome.NO_ROUTE), {"none"}),
        (CallFilter(outcome=CallOutcome.ANSWERED), {"plain", "static"}),
        (CallFilter(outcome=CallOutcome.CONVERTED), {"plain"}),
        (CallFilter(outcome=CallOutcome.LOST), {"lost"}),
        (CallFilter(buyer=ACME, source="pub-17", outcome=CallOutcome.LOST), {"lost"}),
        (CallFilter(buyer=ACME, outcome=CallOutcome.STATIC), set()),
    ],
)
async def test_a_list_is_narrowed(
    database: Database, lists: CallLists, wanted: CallFilter, found: set[str]
) -> None:
    await narrow_cases(database)
    assert set(await ids(lists, wanted)) == found


async def rerouted(database: Database) -> None:
    """One call each: acme's alone, from beacon to acme, from acme to nobody, beacon's alone."""
    await store(
        database,
        "calls",
        a_call_row("own"),
        a_call_row("from-beacon"),
        a_call_row("to-nobody", **NO_ROUTE),
        a_call_row("beacons", offer="beacon-auto", buyer="beacon"),
    )
    beacon = {"offer": "beacon-auto", "buyer": "beacon"}
    await store(
        database,
        "reservations",
        an_attempt_row("own"),
        an_attempt_row("from-beacon", 1, **beacon, state="failed", reason="busy"),
        an_attempt_row("from-beacon", 2),
        an_attempt_row("to-nobody", 1, state="failed", reason="no_answer"),
        an_attempt_row("beacons", 1, **beacon),
        an_attempt_row("beacons", 2, state="released"),
    )
    await store(database, "conversions", a_conversion_row("from-beacon", attempt=2))


async def test_a_buyer_finds_calls_that_were_tried_at_it(
    database: Database, lists: CallLists
) -> None:
    await rerouted(database)
    seen_by = CallFilter(seen_by=BEACON)
    assert set(await ids(lists, seen_by)) == {"from-beacon", "beacons"}
    page = await lists.list_calls(CallFilter(seen_by=ACME), None, 10)
    attempts = {each.call.call_id: [a.attempt for a in each.attempts] for each in page.calls}
    assert attempts == {"own": [1], "from-beacon": [2], "to-nobody": [1]}


async def test_a_buyer_narrows_by_its_own_offers_and_outcomes_alone(
    database: Database, lists: CallLists
) -> None:
    await rerouted(database)
    seen_by = CallFilter(seen_by=BEACON)
    assert await ids(lists, replace(seen_by, offer=OfferId("acme-auto"))) == []
    tried = await ids(lists, replace(seen_by, offer=OfferId("beacon-auto")))
    assert set(tried) == {"from-beacon", "beacons"}
    assert await ids(lists, replace(seen_by, outcome=CallOutcome.CONVERTED)) == []
    assert await ids(lists, replace(seen_by, outcome=CallOutcome.ROUTED)) == ["beacons"]


async def test_few_among_many_are_found_in_short_looks(
    database: Database, lists: CallLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_lists, "LOOKED_AT", 7)
    await fill(database, range(100))
    async with database.connection() as connection:
        await connection.execute(
            "update calls set campaign = 'rare' where call_id = any($1)",
            ["call-0000006", "call-0000007", "call-0000050", "call-0000099"],
        )
    rare = CallFilter(campaign=CampaignId("rare"))
    expected = ["call-0000006", "call-0000007", "call-0000050", "call-0000099"]
    assert await ids(lists, rare) == expected
    for limit in (1, 2, 3):
        assert await walk(lists, rare, limit) == expected
    assert len(await walk(lists, ALL, 100)) == 100


async def test_a_page_that_has_looked_long_enough_says_where_to_go_on(
    database: Database, lists: CallLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_lists, "LOOKED_AT", 10)
    monkeypatch.setattr(call_lists, "LOOKS", 2)
    await fill(database, range(50))
    rare = CallFilter(campaign=CampaignId("rare"))
    page = await lists.list_calls(rare, None, 5)
    assert page.calls == ()
    assert page.next is not None
    assert page.next.call_id == "call-0000019"
    assert await walk(lists, rare, 5) == []


async def test_every_call_comes_once_while_others_come_in(
    database: Database, lists: CallLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_lists, "LOOKED_AT", 20)
    expected = await fill(database, range(0, 200, 2))
    found: list[str] = []
    after: CallPlace | None = None
    wanted = CallFilter(until=NEWEST + timedelta(microseconds=1))
    for number in range(1, 1000, 2):
        page = await lists.list_calls(wanted, after, 7)
        found += [each.call.call_id for each in page.calls]
        after = page.next
        if after is None:
            break
        # One among those that were handed out, and one newer than all.
        await fill(database, [number], NEWEST + timedelta(seconds=number + 1), "newer")
        await fill(database, [number], NEWEST + timedelta(seconds=number - 1), "among")
    assert sorted(found, reverse=True) == sorted(set(found), reverse=True)
    assert [each for each in found if each.startswith("call")] == expected


RANGE = (NEWEST - timedelta(minutes=30), "", NEWEST, "call-0001000")
LISTING: dict[str, Sequence[Any]] = {
    "list_horizon": (*RANGE, 500),
    "list_calls": (*RANGE, None, None, None, None, None, False, None, 1001),
    "list_calls, narrowed": (*RANGE, "c", "o", "b", "s", "converted", False, "b", 1001),
    "read_entries": ("call-0001000",),
}
ENTRIES = """
    insert into conversion_entries
        (call_id, side, attempt, kind, trigger, amount, change, at, actor)
    select call_id, 'buyer', 1, 'booked', 'answered', 1, 1, now(), 'switch' from calls;
    analyze;
"""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, all the way down."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def literal(value: object) -> str:
    return "null" if value is None else f"'{value}'"


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_list_goes_by_the_order_of_arrival(database: Database, mode: str) -> None:
    await fill(database, range(5000))
    async with database.transaction() as connection:
        await connection.execute(ENTRIES)
        await connection.execute(f"set local plan_cache_mode = {mode}")
        for name, values in LISTING.items():
            arguments = ", ".join(map(literal, values))
            await connection.execute(f"prepare listing as {query(name.partition(',')[0])}")
            text = await connection.fetchval(f"explain (format json) execute listing({arguments})")
            await connection.execute("deallocate listing")
            plan = list(nodes(json.loads(text)[0]["Plan"]))
            assert [each for each in plan if each["Node Type"] == "Seq Scan"] == [], name
            used = {each.get("Index Name") for each in plan}
            assert used & {"calls_by_arrival", "conversion_entries_by_call"}, name
