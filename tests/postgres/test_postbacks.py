"""What buyers report: booked once, amended and withdrawn in a ledger that forgets nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.call import Call
from auction.domain.conversions import Side
from auction.domain.finishing import Finished
from auction.domain.ids import BuyerId, CallId, CampaignId, OwnerId, PostId, SourceId
from auction.domain.next_attempt import FailReason, NextRequest, Rerouting
from auction.domain.plan import Candidate
from auction.domain.postbacks import (
    NamedBy,
    Postback,
    PostbackResult,
    Refused,
    Reported,
    ReportResult,
    ReportStatus,
)
from auction.domain.reserving import Reserved
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import (
    Cap,
    ConversionRule,
    Measure,
    PayoutRule,
    Period,
    Subscriber,
    Trigger,
    WebhookEvent,
)
from auction.domain.usage import NOTHING
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.outbox import Outbox
from storage.postbacks import Named, Postbacks
from storage.sweeper import Sweeper
from tests.builders import CAMPAIGN
from tests.ledger_steps import (
    LEASE_OVER,
    LOCK_CALL,
    OFFER_OWNER,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    an_event,
    assert_balanced,
    limits,
    reserve,
    rewind,
    route,
    today,
    usage_of,
)

BOOKED, AMENDED, WITHDRAWN, UNCHANGED, REPEATED, IGNORED = (
    ReportResult.BOOKED,
    ReportResult.AMENDED,
    ReportResult.WITHDRAWN,
    ReportResult.UNCHANGED,
    ReportResult.REPEATED,
    ReportResult.IGNORED,
)
ON_POSTBACK = ConversionRule(Trigger.POSTBACK)
ON_ANSWER = ConversionRule(Trigger.ANSWERED)
PERCENT = PayoutRule(None, Trigger.ANSWERED, percent=Decimal("33.3"))
PUB = SourceId("pub-17")


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


@pytest_asyncio.fixture
async def postbacks(database: Database) -> Postbacks:
    return Postbacks(database)


def a_postback(amount: str | None = None, **changes: Any) -> Postback:
    """A report by acme of the one call there is, unless a test says otherwise."""
    values: dict[str, Any] = {
        "named_by": NamedBy.CALL_ID,
        "name": "call-1",
        "buyer": BuyerId("acme"),
        "status": ReportStatus.CONVERTED,
        "amount": None if amount is None else Decimal(amount),
        "event_id": "e-1",
        **changes,
    }
    said = f"{values['status']}{values['amount']}{values.get('at')}"
    return Postback(fingerprint=said.encode(), **values)


def a_withdrawal(event_id: str | None = "e-2", **changes: Any) -> Postback:
    return a_postback(event_id=event_id, status=ReportStatus.WITHDRAWN, note="returned", **changes)


def taken(result: PostbackResult) -> tuple[ReportResult, Decimal, bool]:
    """What was done, what the buyer's side comes to, and whether that was flagged."""
    assert isinstance(result, Reported), result
    return result.result, result.amount, result.flagged


async def money(database: Database) -> dict[str, tuple[int, Decimal]]:
    """What each side comes to, by its attempt; it must be what its entries add up to."""
    async with database.connection() as connection:
        rows = await connection.fetch("select * from conversions")
        sums = await connection.fetch(
            "select side, sum(change) as total from conversion_entries group by side"
        )
    assert {row["side"]: row["amount"] for row in rows} == {r["side"]: r["total"] for r in sums}
    return {row["side"]: (row["attempt"], row["amount"]) for row in rows}


async def entries(database: Database, side: Side = Side.BUYER) -> list[asyncpg.Record]:
    async with database.connection() as connection:
        rows: list[asyncpg.Record] = await connection.fetch(
            "select * from conversion_entries where side = $1 order by id", side.value
        )
    return rows


async def call_row(database: Database) -> asyncpg.Record:
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from calls")
    assert row is not None
    return row


async def reroute(
    ledger: PostgresLedger, call: Call, candidate: Candidate | None, reason: FailReason
) -> None:
    """Attempt 1 failed; attempt 2 goes to the candidate, or nowhere."""
    asked = NextRequest(call.call_id, 1, reason, b"next", 10_000)
    claimed = await ledger.open_next(asked)
    assert isinstance(claimed, Rerouting)
    if candidate is not None:
        request = a_request(call, candidate, epoch=claimed.epoch, attempt=2)
        assert isinstance(await ledger.reserve(request), Reserved)
    finish = a_finish(call, candidate, epoch=claimed.epoch, attempt=2)
    assert await ledger.finish(finish) == Finished()


async def finish_call(events: CallEvents, call: Call, connected_s: int = 120) -> None:
    """The call is answered and ends."""
    await events.record(an_event(call, EventType.ANSWERED, 8))
    ended = an_event(call, EventType.ENDED, 8 + connected_s, connected_duration_s=connected_s)
    await events.record(ended)


async def test_a_report_after_the_end_books_what_was_held_for_it(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ON_POSTBACK,)))
    await finish_call(events, call)
    assert today(await usage_of(database)) == ((1, 1, 0, 0), (0, 0, 1, 520_000))
    result = await postbacks.report(a_postback("40"))
    assert taken(result) == (BOOKED, Decimal(40), False)
    assert isinstance(result, Reported)
    assert (result.call_id, result.event_id, result.currency) == ("call-1", "e-1", "USD")
    assert today(await usage_of(database)) == ((1, 1, 1, 400_000), NOTHING)
    async with database.connection() as connection:
        assert await connection.fetchval("select sweep_at from reservations") is None
    [entry] = await entries(database)
    assert (entry["kind"], entry["trigger"], entry["actor"]) == ("booked", "postback", "buyer:acme")
    assert await money(database) == {"buyer": (1, Decimal(40))}
    await assert_balanced(database)


async def test_a_report_before_the_answer_is_not_booked_again_by_it(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ON_ANSWER,)))
    assert taken(await postbacks.report(a_postback())) == (BOOKED, Decimal(52), False)
    assert today(await usage_of(database)) == ((1, 0, 1, 520_000), (0, 1, 0, 0))
    await finish_call(events, call)
    assert today(await usage_of(database)) == ((1, 1, 1, 520_000), NOTHING)
    assert (await usage_of(database)).live == 0
    assert len(await entries(database)) == 1
    await assert_balanced(database)


async def test_a_report_after_the_hold_lapsed_counts_over_the_cap_and_is_flagged(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    cap = Cap(Measure.CONVERSIONS, Period.DAY, 1)
    capped = limits(OFFER_OWNER, cap)
    for number in (1, 2):
        call = a_recent_call(f"call-{number}")
        await route(ledger, call, a_candidate(conversions=(ON_POSTBACK,), offer_limits=capped))
        await finish_call(events, call)
        await rewind(database, LEASE_OVER, [call.call_id])
        assert await Sweeper(database).sweep() == 1
    assert today(await usage_of(database)) == ((2, 2, 0, 0), NOTHING)
    for number in (1, 2):
        result = await postbacks.report(a_postback(name=f"call-{number}"))
        assert taken(result) == (BOOKED, Decimal(52), True)
    assert today(await usage_of(database)) == ((2, 2, 2, 1_040_000), NOTHING)
    assert [entry["beyond_hold"] for entry in await entries(database)] == [True, True]
    repeated = await postbacks.report(a_postback(name="call-2"))
    assert taken(repeated) == (REPEATED, Decimal(52), True)
    await assert_balanced(database)


async def test_a_report_beyond_the_hold_is_booked_in_full(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await finish_call(events, call)
    assert taken(await postbacks.report(a_postback("60"))) == (AMENDED, Decimal(60), True)
    assert today(await usage_of(database)) == ((1, 1, 1, 600_000), NOTHING)
    await assert_balanced(database)


async def test_a_repeat_changes_nothing_and_other_content_is_refused(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    await route(ledger, a_recent_call())
    assert taken(await postbacks.report(a_postback("40"))) == (BOOKED, Decimal(40), False)
    before = await entries(database)
    assert taken(await postbacks.report(a_postback("40"))) == (REPEATED, Decimal(40), False)
    assert await postbacks.report(a_postback("41")) is Refused.OTHER_CONTENT
    assert await postbacks.report(a_withdrawal("e-1")) is Refused.OTHER_CONTENT
    assert await entries(database) == before
    assert await money(database) == {"buyer": (1, Decimal(40))}


async def test_reports_without_an_event_id_are_told_apart_by_their_content(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    await route(ledger, a_recent_call())
    reports = [
        a_postback("40", event_id=None),
        a_postback("40", event_id=None),
        a_postback("41", event_id=None),
        a_withdrawal(event_id=None),
    ]
    results = [taken(await postbacks.report(report))[0] for report in reports]
    assert results == [BOOKED, REPEATED, AMENDED, WITHDRAWN]
    assert len({entry["event_id"] for entry in await entries(database)}) == 3


async def test_the_same_report_to_two_workers_at_once_is_booked_once(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    far = await Database.connect(dsn)
    workers = [Postbacks(each) for each in (database, far)]
    for number in range(15):
        await route(ledger, a_recent_call(f"call-{number}"))
        report = a_postback("40", name=f"call-{number}")
        results = await asyncio.gather(*(worker.report(report) for worker in workers))
        assert sorted(taken(result)[0].value for result in results) == ["booked", "repeated"]
    assert len(await entries(database)) == 15
    assert today(await usage_of(database))[0] == (15, 0, 15, 6_000_000)
    await assert_balanced(database)
    await far.close()


async def test_a_report_and_the_answer_at_once_book_one_conversion(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    for number in range(15):
        call = a_recent_call(f"call-{number}")
        await route(ledger, call)
        await asyncio.gather(
            postbacks.report(a_postback("40", name=call.call_id)),
            events.record(an_event(call, EventType.ANSWERED, 8)),
        )
    booked = [entry for entry in await entries(database) if entry["kind"] == "booked"]
    assert len(booked) == 15
    assert today(await usage_of(database))[0] == (15, 15, 15, 6_000_000)
    await assert_balanced(database)


async def test_what_is_withdrawn_comes_back_by_a_report_alone(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await events.record(an_event(call, EventType.ANSWERED, 8))
    assert taken(await postbacks.report(a_withdrawal())) == (WITHDRAWN, Decimal(0), False)
    assert today(await usage_of(database)) == ((1, 1, 0, 0), NOTHING)
    ended = an_event(call, EventType.ENDED, 99, connected_duration_s=Decimal(90))
    await events.record(ended)
    assert await money(database) == {"buyer": (1, Decimal(0))}
    assert taken(await postbacks.report(a_withdrawal("e-3"))) == (UNCHANGED, Decimal(0), False)
    restored = await postbacks.report(a_postback("50", event_id="e-4"))
    assert taken(restored) == (AMENDED, Decimal(50), True)
    kinds = [(entry["kind"], entry["change"], entry["note"]) for entry in await entries(database)]
    assert kinds == [
        ("booked", Decimal(52), None),
        ("withdrawn", Decimal(-52), "returned"),
        ("amended", Decimal(50), "restored"),
    ]
    assert today(await usage_of(database)) == ((1, 1, 1, 500_000), NOTHING)
    await assert_balanced(database)


async def test_the_withdrawal_of_nothing_is_kept_and_ignored(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    await route(ledger, a_recent_call())
    assert taken(await postbacks.report(a_withdrawal())) == (IGNORED, Decimal(0), False)
    assert taken(await postbacks.report(a_withdrawal())) == (REPEATED, Decimal(0), False)
    assert await entries(database) == []


@pytest.mark.parametrize(
    ("named_by", "name"),
    [
        (NamedBy.CALL_ID, "call-1"),
        (NamedBy.PING_ID, "p-1"),
        (NamedBy.POST_ID, "p-1-post"),
        (NamedBy.BID_ID, "b-1"),
    ],
)
async def test_a_call_is_known_by_each_of_its_names_to_its_buyer_only(
    ledger: PostgresLedger, postbacks: Postbacks, named_by: NamedBy, name: str
) -> None:
    await route(ledger, a_recent_call(), a_candidate(post_id=PostId("p-1-post"), bid_id="b-1"))
    said: dict[str, Any] = {"named_by": named_by, "name": name}
    theirs = a_postback(buyer=BuyerId("beacon"), **said)
    assert await postbacks.report(theirs) is Refused.UNKNOWN_CALL
    assert await postbacks.report(a_postback(named_by=named_by, name="x")) is Refused.UNKNOWN_CALL
    assert taken(await postbacks.report(a_postback(**said)))[0] is BOOKED
    assert taken(await postbacks.report(a_postback(buyer=None, **said)))[0] is REPEATED


async def test_of_bids_with_one_name_the_newest_is_meant(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    for number in (1, 2):
        candidate = a_candidate(bid_id="b", post_id=PostId(f"p-{number}"))
        await route(ledger, a_recent_call(f"call-{number}"), candidate)
    other = a_candidate("beacon-auto", buyer="beacon", bid_id="b", post_id=PostId("p-3"))
    await route(ledger, a_recent_call("call-3"), other)
    result = await postbacks.report(a_postback(named_by=NamedBy.BID_ID, name="b"))
    assert isinstance(result, Reported)
    assert result.call_id == "call-2"


async def test_a_call_that_is_only_reserved_was_not_sold_yet(
    ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    await reserve(ledger, a_recent_call(), a_candidate())
    assert await postbacks.report(a_postback()) is Refused.UNKNOWN_CALL
    # found while it was a route, and reserved anew before it was locked
    named = Named(CallId("call-1"), 1)
    assert await postbacks._hear(a_postback(), named) is Refused.UNKNOWN_CALL


async def test_a_test_call_is_never_billed(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    await route(ledger, a_recent_call(test=True), a_candidate(owners=()))
    assert taken(await postbacks.report(a_postback())) == (IGNORED, Decimal(0), False)
    assert await entries(database) == []


async def test_a_buyer_that_does_not_pay_reports_in_vain(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    await route(ledger, a_recent_call(), a_candidate(units=(1, 1, 0, 0), conversions=()))
    assert taken(await postbacks.report(a_postback("9"))) == (IGNORED, Decimal(0), False)
    assert await entries(database) == []


async def test_a_payout_in_percent_follows_the_revenue(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(payouts=(PERCENT,)))
    await finish_call(events, call)
    assert (await money(database))["source"] == (1, Decimal("17.316"))
    steps = [
        (a_postback("40.01", event_id="a"), "13.3233"),
        (a_withdrawal("b"), "0"),
        (a_postback("60", event_id="c"), "19.98"),
    ]
    for report, payout in steps:
        await postbacks.report(report)
        assert (await money(database))["source"] == (1, Decimal(payout))
    history = [(entry["kind"], entry["actor"]) for entry in await entries(database, Side.SOURCE)]
    assert history == [
        ("booked", "switch"),
        ("amended", "buyer:acme"),
        ("withdrawn", "buyer:acme"),
        ("amended", "buyer:acme"),
    ]


async def test_a_payout_for_a_postback_comes_and_goes_with_it(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    payout = PayoutRule(PUB, Trigger.POSTBACK, amount=Decimal(11))
    call = a_recent_call()
    await route(ledger, call, a_candidate(payouts=(payout,)))
    await finish_call(events, call)
    assert "source" not in await money(database)
    assert taken(await postbacks.report(a_postback()))[0] is UNCHANGED
    assert (await money(database))["source"] == (1, Decimal(11))
    await postbacks.report(a_withdrawal())
    assert (await money(database))["source"] == (1, Decimal(0))
    await postbacks.report(a_postback(event_id="e-3"))
    assert (await money(database))["source"] == (1, Decimal(11))


async def test_a_fixed_payout_stays_whatever_the_buyer_withdraws(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    payout = PayoutRule(None, Trigger.ANSWERED, amount=Decimal(11))
    call = a_recent_call()
    await route(ledger, call, a_candidate(payouts=(payout,)))
    await finish_call(events, call)
    await postbacks.report(a_withdrawal())
    assert await money(database) == {"buyer": (1, Decimal(0)), "source": (1, Decimal(11))}


SECOND = a_candidate("beacon-auto", buyer="beacon", price="30.00")
BEACON = BuyerId("beacon")


async def answer(events: CallEvents, call: Call, attempt: int = 1) -> None:
    """An attempt is answered."""
    event_id = f"answered-{attempt}"
    report = an_event(call, EventType.ANSWERED, 8, attempt=attempt, event_id=event_id)
    assert await events.record(report) is EventResult.APPLIED


async def test_an_attempt_that_failed_unanswered_was_not_sold(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(bid_id="b-1"))
    await reroute(ledger, call, SECOND, FailReason.BUSY)
    for named_by, name in ((NamedBy.CALL_ID, "call-1"), (NamedBy.BID_ID, "b-1")):
        for report in (a_postback("0.01"), a_withdrawal()):
            named = replace(report, named_by=named_by, name=name)
            assert await postbacks.report(named) is Refused.UNKNOWN_CALL
    assert taken(await postbacks.report(a_postback(buyer=BEACON))) == (BOOKED, Decimal(30), False)
    assert await money(database) == {"buyer": (2, Decimal(30))}
    await assert_balanced(database)


async def test_a_short_call_that_went_on_to_another_buyer_is_not_the_firsts_any_more(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ON_POSTBACK,)))
    await answer(events, call)
    await reroute(ledger, call, SECOND, FailReason.SHORT_CALL)
    for _ in range(2):
        assert await postbacks.report(a_postback("0.01")) is Refused.PASSED_ON
    assert taken(await postbacks.report(a_withdrawal()))[0] is IGNORED
    await answer(events, call, 2)
    assert await money(database) == {"buyer": (2, Decimal(30))}
    assert await postbacks.report(a_postback("0.01")) is Refused.OTHER_BUYER
    await assert_balanced(database)


async def test_a_short_call_that_nobody_else_has_may_convert_and_then_its_buyer_pays(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ON_POSTBACK,)))
    await answer(events, call)
    await reroute(ledger, call, None, FailReason.SHORT_CALL)
    assert taken(await postbacks.report(a_postback())) == (BOOKED, Decimal(52), True)
    row = await call_row(database)
    assert (row["state"], row["buyer"], row["price"]) == ("no_route", "acme", Decimal(52))
    await assert_balanced(database)


async def test_what_stands_at_a_failed_attempt_is_amended_and_withdrawn_but_not_brought_back(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await reroute(ledger, call, SECOND, FailReason.SHORT_CALL)
    await answer(events, call)
    assert taken(await postbacks.report(a_postback("40", event_id="a")))[0] is AMENDED
    assert taken(await postbacks.report(a_withdrawal("b")))[0] is WITHDRAWN
    assert taken(await postbacks.report(a_withdrawal("c")))[0] is UNCHANGED
    assert await postbacks.report(a_postback("40", event_id="d")) is Refused.PASSED_ON
    await answer(events, call, 2)
    assert await money(database) == {"buyer": (2, Decimal(30))}
    assert taken(await postbacks.report(a_postback("40", event_id="a")))[0] is REPEATED


async def test_of_a_buyers_failed_attempts_the_one_that_was_answered_is_meant(
    ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ON_POSTBACK,)))
    await answer(events, call)
    await reroute(ledger, call, a_candidate("acme-home"), FailReason.SHORT_CALL)
    again = await ledger.open_next(NextRequest(call.call_id, 2, FailReason.BUSY, b"x", 10_000))
    assert isinstance(again, Rerouting)
    finish = a_finish(call, None, epoch=again.epoch, attempt=3)
    assert await ledger.finish(finish) == Finished()
    assert taken(await postbacks.report(a_postback("7")))[:2] == (BOOKED, Decimal(7))


async def test_a_withdrawn_conversion_leaves_the_call_to_the_next_buyer(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(payouts=(PERCENT,)))
    await postbacks.report(a_postback("9"))
    await answer(events, call)
    assert await money(database) == {"buyer": (1, Decimal(9)), "source": (1, Decimal("2.997"))}
    await postbacks.report(a_withdrawal())
    await reroute(ledger, call, replace(SECOND, payouts=(PERCENT,)), FailReason.SHORT_CALL)
    await answer(events, call, 2)
    both = {"buyer": (2, Decimal(30)), "source": (2, Decimal("9.99"))}
    assert await money(database) == both
    row = await call_row(database)
    assert (row["buyer"], row["offer"], row["price"]) == ("beacon", "beacon-auto", Decimal(30))
    kinds = [(each["attempt"], each["kind"], each["trigger"]) for each in await entries(database)]
    assert kinds == [
        (1, "booked", "postback"),
        (1, "withdrawn", "postback"),
        (2, "amended", "answered"),
    ]
    assert today(await usage_of(database, OwnerId("offer:beacon-auto"))) == (
        (1, 1, 1, 300_000),
        NOTHING,
    )
    await assert_balanced(database)


async def test_nobody_who_withdrew_converts_again_by_what_the_switch_reports(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await postbacks.report(a_postback("9"))
    await postbacks.report(a_withdrawal())
    await reroute(ledger, call, SECOND, FailReason.BUSY)
    await answer(events, call, 2)
    await postbacks.report(a_withdrawal("theirs", buyer=BEACON))
    await answer(events, call)
    ended = an_event(call, EventType.ENDED, 99, attempt=2, connected_duration_s=Decimal(90))
    await events.record(ended)
    assert await money(database) == {"buyer": (2, Decimal(0))}
    await assert_balanced(database)


async def test_what_one_buyer_withdrew_another_may_convert(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await answer(events, call)
    await postbacks.report(a_withdrawal())
    await reroute(ledger, call, SECOND, FailReason.SHORT_CALL)
    theirs = await postbacks.report(a_postback(buyer=BuyerId("beacon")))
    assert taken(theirs) == (AMENDED, Decimal(30), False)
    assert await money(database) == {"buyer": (2, Decimal(30))}
    assert (await call_row(database))["buyer"] == "beacon"
    assert taken(await postbacks.report(a_withdrawal("e-9")))[0] is IGNORED
    await assert_balanced(database)


async def test_a_buyers_second_attempt_converts_what_its_first_withdrew(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await answer(events, call)
    await postbacks.report(a_withdrawal())
    await reroute(ledger, call, a_candidate("acme-home"), FailReason.SHORT_CALL)
    assert taken(await postbacks.report(a_postback("45"))) == (AMENDED, Decimal(45), False)
    assert await money(database) == {"buyer": (2, Decimal(45))}


async def test_a_buyers_second_attempt_amends_the_conversion_of_its_first(
    database: Database, ledger: PostgresLedger, events: CallEvents, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await reroute(ledger, call, a_candidate("acme-home"), FailReason.SHORT_CALL)
    await answer(events, call)
    first = a_postback("40", named_by=NamedBy.POST_ID, name="acme-auto-post")
    await postbacks.report(first)
    again = a_postback("45", event_id="e-2", named_by=NamedBy.POST_ID, name="acme-home-post")
    assert taken(await postbacks.report(again))[:2] == (AMENDED, Decimal(45))
    assert await money(database) == {"buyer": (1, Decimal(45))}


async def test_a_late_decision_that_nobody_fetched_but_that_converted_stays_the_answer(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call, late=True)
    await rewind(database, LEASE_OVER, [call.call_id])
    await Sweeper(database).sweep()
    assert (await call_row(database))["binding"] is False
    assert taken(await postbacks.report(a_postback()))[0] is BOOKED
    row = await call_row(database)
    assert (row["state"], row["binding"]) == ("lost", True)


@pytest.mark.parametrize(("days", "moment"), [(-400, "start"), (400, "now"), (None, "now")])
async def test_a_conversion_happens_between_the_call_and_now(
    database: Database,
    ledger: PostgresLedger,
    postbacks: Postbacks,
    days: int | None,
    moment: str,
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    before = datetime.now(UTC)
    at = None if days is None else before + timedelta(days=days)
    await postbacks.report(a_postback(at=at))
    [entry] = await entries(database)
    if moment == "start":
        assert entry["at"] == call.received_at
    else:
        assert before - timedelta(seconds=5) < entry["at"] < before + timedelta(seconds=60)


async def test_a_callers_other_call_still_counts_when_its_buyer_reports_it(
    database: Database, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    once = ConversionRule(Trigger.POSTBACK, dedupe_days=30)
    paid = PayoutRule(None, Trigger.POSTBACK, amount=Decimal(11), dedupe_days=30)
    for number in (1, 2):
        candidate = a_candidate(conversions=(once,), payouts=(paid,))
        await route(ledger, a_recent_call(f"call-{number}"), candidate)
        result = await postbacks.report(a_postback(name=f"call-{number}"))
        assert taken(result) == (BOOKED, Decimal(52), False)
    assert len(await entries(database)) == 2
    [payout] = await entries(database, Side.SOURCE)
    assert payout["call_id"] == "call-1"


async def test_subscribers_and_listeners_are_told(
    database: Database, ledger: PostgresLedger
) -> None:
    everything = frozenset(WebhookEvent)
    hook = Subscriber("buyer:acme", "w-1", everything)
    earned: list[tuple[CampaignId | None, str, Side, Decimal]] = []
    seen: list[Any] = []

    def subscribers(_: object, buyer: BuyerId | None) -> Sequence[Subscriber]:
        return [hook] if buyer == "acme" else []

    postbacks = Postbacks(
        database,
        seen.append,
        on_earned=lambda *each: earned.append(each),
        outbox=Outbox(subscribers),
    )
    await route(ledger, a_recent_call(), a_candidate(payouts=(PERCENT,)))
    for report in (a_postback("40"), a_postback("40"), a_withdrawal()):
        await postbacks.report(report)
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select event, data ->> 'amount' as amount, data ->> 'previous_amount' as previous, "
            "data ->> 'reason' as reason, data ->> 'event_id' as event_id, "
            "data ->> 'side' as side from webhook_deliveries order by created_at"
        )
    assert [tuple(row) for row in rows] == [
        ("call.converted", "40.00", None, None, "e-1", "buyer"),
        ("conversion.amended", "0.00", "40.00", "returned", "e-2", "buyer"),
    ]
    assert earned == [(CAMPAIGN, "USD", Side.BUYER, Decimal(40))]
    assert seen[0][OFFER_OWNER].live == 1


async def test_a_call_that_somebody_keeps_locked_is_reported_again_later(
    dsn: str, ledger: PostgresLedger, postbacks: Postbacks
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    stuck = await asyncpg.connect(dsn)
    async with stuck.transaction():
        await stuck.execute(LOCK_CALL, call.call_id)
        with pytest.raises(StorageUnavailableError):
            await postbacks.report(a_postback())
    await stuck.close()
    assert taken(await postbacks.report(a_postback()))[0] is BOOKED


async def test_more_reports_than_have_a_turn_wait_for_theirs(
    database: Database, ledger: PostgresLedger
) -> None:
    postbacks = Postbacks(database, at_once=1)
    for number in range(10):
        await route(ledger, a_recent_call(f"call-{number}"))
    reports = (a_postback(name=f"call-{number}") for number in range(10))
    results = await asyncio.gather(*map(postbacks.report, reports))
    assert [taken(result)[0] for result in results] == [BOOKED] * 10
