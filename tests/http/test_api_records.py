"""``GET /v1/calls/{call_id}`` on a real socket."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from auction.domain.call import Caller
from auction.domain.call_list import RecordedEntry
from auction.domain.call_record import AttemptRecord, CallRecord
from auction.domain.conversions import Entry, EntryKind, Side
from auction.domain.ids import BuyerId, CallId, OfferId
from auction.domain.plan import RoutedBy
from auction.domain.terms import Trigger
from auction.ports import StorageUnavailableError
from tests.builders import CAMPAIGN, NOON, a_call, a_campaign, a_catalogue, a_static_offer, an_offer
from tests.http.api_fakes import Api, FakeServices
from tests.http.record_app import running_records

CDR_KEYS = [
    *("call_id", "campaign", "source", "dialed_number", "caller_id"),
    *("started_at", "answered_at", "ended_at", "total_duration_s", "connected_duration_s"),
    *("ended_by", "state", "routed_by", "buyer", "offer", "price", "currency", "converted"),
    *("conversion_trigger", "revenue", "payout", "attempts", "test", "switch", "reason", "quality"),
]

TRACE = {
    "revision": 7,
    "eligible_ms": 0.4,
    "ping_ms": 120.5,
    "post_ms": 40.25,
    "total_ms": 163.0,
    "offers": [
        {
            "offer": "acme-auto",
            "outcome": "won",
            "code": None,
            "detail": None,
            "bid": "52.00",
            "ms": 98.1,
            "rank": 1,
            "quote": {"amount": "52"},
        },
        {
            "offer": "beacon-auto",
            "outcome": "no_bid",
            "code": 0,
            "detail": "knows 13105551234 already",
            "bid": None,
            "ms": 88.0,
            "rank": None,
            "static": True,
        },
    ],
}


def a_record(**changes: Any) -> CallRecord:
    values: dict[str, Any] = {
        "call": a_call("c-1"),
        "campaign": CAMPAIGN,
        "revision": 7,
        "state": "ended",
        "reason": None,
        "routed_by": RoutedBy.AUCTION,
        "buyer": BuyerId("acme"),
        "offer": OfferId("acme-auto"),
        "price": Decimal("52.0000"),
        "currency": "USD",
        "answered_at": NOON + timedelta(seconds=9, microseconds=500),
        "ended_at": None,
        "total_duration_s": Decimal("95.400"),
        "connected_duration_s": Decimal("61.000"),
        "ended_by": "caller",
        "converted": True,
        "conversion_trigger": "answered",
        "revenue": Decimal("52.0000"),
        "payout": Decimal(0),
        "past_calls": (),
        "attempts": (
            AttemptRecord(
                1, OfferId("acme-auto"), RoutedBy.AUCTION, Decimal("52.0000"), "answered"
            ),
        ),
        "trace": orjson.dumps(TRACE),
    }
    return CallRecord(**{**values, **changes})


CATALOGUE = a_catalogue(
    a_campaign(
        an_offer("acme-auto"),
        an_offer("beacon-auto", buyer="beacon"),
        a_static_offer("cobalt-auto", enabled=False),
        an_offer("delta-auto", buyer="delta", required_fields=("homeowner",)),
    ),
    revision=7,
)


def services(record: CallRecord | None) -> FakeServices:
    return FakeServices(record_found=record, catalogue=CATALOGUE)


async def shown(api: Api, token: str = "read") -> Any:
    reply = await api.get("/v1/calls/c-1", token)
    assert reply.status == 200, reply.body
    return reply.json()


async def test_the_cdr_has_every_key_of_the_contract() -> None:
    async with running_records(services(a_record())) as api:
        cdr = (await shown(api))["cdr"]
    assert list(cdr) == CDR_KEYS
    assert cdr == {
        "call_id": "c-1",
        "campaign": "auto-insurance",
        "source": "pub-17",
        "dialed_number": "+18005550100",
        "caller_id": "+1310*****34",
        "started_at": "2026-11-20T17:00:00.000Z",
        "answered_at": "2026-11-20T17:00:09.000Z",
        "ended_at": None,
        "total_duration_s": 95.4,
        "connected_duration_s": 61,
        "ended_by": "caller",
        "state": "ended",
        "routed_by": "auction",
        "buyer": "acme",
        "offer": "acme-auto",
        "price": "52.00",
        "currency": "USD",
        "converted": True,
        "conversion_trigger": "answered",
        "revenue": "52.00",
        "payout": "0.00",
        "attempts": [
            {
                "attempt": 1,
                "offer": "acme-auto",
                "routed_by": "auction",
                "price": "52.00",
                "outcome": "answered",
                "reason": None,
            }
        ],
        "test": False,
        "switch": None,
        "reason": None,
        "quality": None,
    }


async def test_the_trace_has_one_entry_for_every_offer_of_the_campaign() -> None:
    async with running_records(services(a_record())) as api:
        trace = (await shown(api))["trace"]
    times = {key: value for key, value in trace.items() if key != "offers"}
    assert times == {"eligible_ms": 0.4, "ping_ms": 120.5, "post_ms": 40.25, "total_ms": 163.0}
    nothing = {"bid": None, "ms": None, "rank": None}
    assert trace["offers"] == [
        {
            "offer": "acme-auto",
            "outcome": "won",
            "code": None,
            "detail": None,
            "bid": "52.00",
            "ms": 98.1,
            "rank": 1,
        },
        {
            "offer": "beacon-auto",
            "outcome": "no_bid",
            "code": 0,
            "detail": "knows *********34 already",
            "bid": None,
            "ms": 88.0,
            "rank": None,
            "static": True,
        },
        {"offer": "cobalt-auto", "outcome": "paused", "code": 201, "detail": None, **nothing},
        {
            "offer": "delta-auto",
            "outcome": "missing_field",
            "code": 204,
            "detail": "homeowner",
            **nothing,
        },
    ]
    assert api.services.revisions == [7]


async def test_the_caller_is_shown_whole_only_to_the_scope_pii() -> None:
    async with running_records(services(a_record())) as api:
        masked = await api.get("/v1/calls/c-1", "admin")
        whole = await shown(api, "pii")
    assert b"5551234" not in masked.body
    assert whole["cdr"]["caller_id"] == "+13105551234"
    assert whole["trace"]["offers"][1]["detail"] == "knows 13105551234 already"


async def test_a_withheld_caller_is_null() -> None:
    async with running_records(services(a_record(call=a_call("c-1", caller=Caller())))) as api:
        assert (await shown(api))["cdr"]["caller_id"] is None


async def test_a_call_without_a_decision_has_no_trace_and_no_prices() -> None:
    undecided = a_record(
        trace=None,
        state="deciding",
        routed_by=None,
        buyer=None,
        offer=None,
        price=None,
        attempts=(),
    )
    async with running_records(services(undecided)) as api:
        answer = await shown(api)
    assert answer["trace"] is None
    assert (answer["cdr"]["price"], answer["cdr"]["routed_by"]) == (None, None)


async def test_a_trace_stays_readable_without_its_catalogue() -> None:
    async with running_records(services(a_record())) as api:
        api.services.catalogue = None
        trace = (await shown(api))["trace"]
    assert [each["offer"] for each in trace["offers"]] == ["acme-auto", "beacon-auto"]


async def test_a_call_of_no_campaign_is_shown() -> None:
    empty = orjson.dumps({**TRACE, "offers": []})
    async with running_records(services(a_record(campaign=None, trace=empty))) as api:
        assert (await shown(api))["trace"]["offers"] == []


@pytest.mark.parametrize(
    "call_id",
    ["3848@switch-1", "a/b", "a%2Fb", "100%", "a?b#c", "a b+c", "späť", "{x}", "next", "x" * 128],
)
async def test_any_call_id_is_found_under_its_escaped_path(call_id: str) -> None:
    async with running_records(FakeServices()) as api:
        reply = await api.get(f"/v1/calls/{quote(call_id, safe='')}")
    assert reply.status == 404
    assert api.services.asked_for == [call_id]


@pytest.mark.parametrize("path", ["x" * 129, "a%00", "a%0Ab"])
async def test_what_can_be_no_call_id_is_404_without_asking(path: str) -> None:
    async with running_records(FakeServices()) as api:
        reply = await api.get(f"/v1/calls/{path}")
    assert reply.status == 404
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert api.services.asked_for == []


@pytest.mark.parametrize("token", ["read", "calls", "admin"])
async def test_a_call_is_read_with_any_of_three_scopes(token: str) -> None:
    async with running_records(services(a_record())) as api:
        await shown(api, token)


async def test_a_call_is_not_read_without_a_token_or_scope() -> None:
    async with running_records(services(a_record())) as api:
        nobody = await api.send("GET", "/v1/calls/c-1", token=None)
        buyer = await api.get("/v1/calls/c-1", "postback")
    assert (nobody.status, buyer.status) == (401, 403)


async def test_a_buyer_sees_its_own_side_of_its_own_calls_only() -> None:
    async with running_records(services(a_record())) as api:
        own = await shown(api, "acme")
        other = await api.get("/v1/calls/c-1", "beacon")
    assert other.status == 404
    assert [each["offer"] for each in own["trace"]["offers"]] == ["acme-auto"]
    assert (own["cdr"]["price"], own["cdr"]["payout"]) == ("52.00", None)
    assert list(own["cdr"]) == CDR_KEYS


async def test_a_buyer_is_not_told_of_attempts_at_others() -> None:
    first = AttemptRecord(1, OfferId("beacon-auto"), RoutedBy.AUCTION, Decimal(60), "busy", "busy")
    record = a_record()
    twice = replace(record, attempts=(first, replace(record.attempts[0], attempt=2)))
    async with running_records(services(twice)) as api:
        own = await shown(api, "acme")
        all_of_it = await shown(api)
    assert [each["attempt"] for each in own["cdr"]["attempts"]] == [2]
    assert [each["attempt"] for each in all_of_it["cdr"]["attempts"]] == [1, 2]


FAILED = AttemptRecord(
    1, OfferId("beacon-auto"), RoutedBy.AUCTION, Decimal(60), "failed", "no_answer"
)


def after_a_failure(**changes: Any) -> CallRecord:
    """A call that beacon did not answer and acme got."""
    record = a_record(**changes)
    return replace(record, attempts=(FAILED, replace(record.attempts[0], attempt=2)))


async def test_a_buyer_is_shown_a_call_that_failed_at_it_and_not_what_became_of_it() -> None:
    async with running_records(services(after_a_failure())) as api:
        cdr = (await shown(api, "beacon"))["cdr"]
    (attempt,) = cdr["attempts"]
    assert (attempt["offer"], attempt["outcome"], attempt["reason"]) == (
        *("beacon-auto", "failed", "no_answer"),
    )
    assert list(cdr) == CDR_KEYS
    assert (cdr["state"], cdr["converted"], cdr["started_at"]) == (
        *("failed", False, "2026-11-20T17:00:00.000Z"),
    )
    elsewhere = ["buyer", "offer", "routed_by", "price", "revenue", "payout", "answered_at"]
    elsewhere += ["ended_at", "connected_duration_s", "conversion_trigger", "ended_by"]
    assert {cdr[key] for key in elsewhere} == {None}


async def test_a_call_that_found_no_route_after_a_failure_is_still_that_buyers() -> None:
    nowhere = after_a_failure(
        state="no_route", routed_by=None, offer=None, buyer=None, price=None, reason="too_late"
    )
    nowhere = replace(nowhere, attempts=(FAILED,))
    async with running_records(services(nowhere)) as api:
        mine = await shown(api, "beacon")
        other = await api.get("/v1/calls/c-1", "acme")
        all_of_it = await shown(api)
    assert other.status == 404
    assert mine["cdr"]["state"] == "failed"
    assert [each["offer"] for each in mine["trace"]["offers"]] == ["beacon-auto"]
    assert (all_of_it["cdr"]["state"], all_of_it["cdr"]["reason"]) == ("no_route", "too_late")


LATER = {
    **TRACE,
    "revision": 8,
    "offers": [{"offer": "echo-auto", "code": 1}, {"offer": "beacon-auto", "code": None}],
}


async def test_each_further_attempt_has_its_trace() -> None:
    record = after_a_failure(later_traces=((2, orjson.dumps(LATER)), (3, orjson.dumps(TRACE))))
    async with running_records(services(record)) as api:
        first, second, third = [
            (each.get("attempt"), [line["offer"] for line in each["offers"]])
            for answer in [await shown(api)]
            for each in [answer["trace"], *answer["next"]]
        ]
        own = (await shown(api, "beacon"))["next"]
        source = (await shown(api, "pub-17"))["next"]
    known = ["acme-auto", "beacon-auto", "cobalt-auto", "delta-auto"]
    assert first == (None, known)
    assert second == (2, sorted([*known, "echo-auto"]))
    assert third == (3, known)
    assert api.services.revisions[:2] == [7, 8], "each is read by the catalogue of its time"
    assert [[line["offer"] for line in each["offers"]] for each in own] == [["beacon-auto"]] * 2
    assert [each["offers"] for each in source] == [[], []]


async def test_without_further_attempts_there_are_no_further_traces() -> None:
    async with running_records(services(a_record())) as api:
        assert (await shown(api))["next"] == []


def an_entry(side: Side = Side.BUYER, **changes: Any) -> RecordedEntry:
    values: dict[str, Any] = {
        "kind": EntryKind.BOOKED,
        "attempt": 1,
        "trigger": Trigger.ANSWERED,
        "amount": Decimal("52.0000"),
        "change": Decimal("52.0000"),
        "at": NOON,
        "actor": "switch",
        **changes,
    }
    entry = Entry(call_id=CallId("c-1"), side=side, **values)
    return RecordedEntry(entry, NOON + timedelta(seconds=2))


HISTORY = (
    an_entry(),
    an_entry(Side.SOURCE, amount=Decimal(20), change=Decimal(20)),
    an_entry(
        kind=EntryKind.AMENDED,
        trigger=Trigger.POSTBACK,
        amount=Decimal("40.5"),
        change=Decimal("-11.5"),
        actor="buyer:acme",
        event_id="e-2",
        note="asked 310-555-1234 again",
        beyond_hold=True,
    ),
)


async def test_how_the_money_came_about_is_told_line_by_line() -> None:
    async with running_records(services(a_record()), *HISTORY) as api:
        lines = (await shown(api))["conversions"]
        whole = (await shown(api, "pii"))["conversions"]
    assert lines[0] == {
        "side": "buyer",
        "kind": "booked",
        "amount": "52.00",
        "change": "52.00",
        "trigger": "answered",
        "at": "2026-11-20T17:00:00.000Z",
        "recorded_at": "2026-11-20T17:00:02.000Z",
        "actor": "switch",
        "event_id": None,
        "note": None,
        "beyond_hold": False,
    }
    assert [each["side"] for each in lines] == ["buyer", "source", "buyer"]
    assert (lines[2]["amount"], lines[2]["change"]) == ("40.50", "-11.50")
    assert (lines[2]["event_id"], lines[2]["beyond_hold"]) == ("e-2", True)
    assert "555" not in lines[2]["note"]
    assert whole[2]["note"] == "asked 310-555-1234 again"


@pytest.mark.parametrize(("token", "sides"), [("acme", ["buyer"] * 2), ("pub-17", ["source"])])
async def test_each_side_is_told_of_its_own_money(token: str, sides: list[str]) -> None:
    async with running_records(services(a_record()), *HISTORY) as api:
        lines = (await shown(api, token))["conversions"]
    assert [each["side"] for each in lines] == sides


async def test_a_buyer_is_not_told_of_money_earned_at_another() -> None:
    async with running_records(services(after_a_failure()), an_entry(attempt=2)) as api:
        assert (await shown(api, "beacon"))["conversions"] == []
        assert len((await shown(api, "acme"))["conversions"]) == 1


async def test_a_source_sees_its_calls_without_what_they_were_sold_for() -> None:
    async with running_records(services(a_record())) as api:
        own = await shown(api, "pub-17")
        other = await api.get("/v1/calls/c-1", "pub-18")
    assert other.status == 404
    assert own["trace"]["offers"] == []
    assert (own["cdr"]["price"], own["cdr"]["revenue"]) == (None, None)
    assert own["cdr"]["attempts"][0]["price"] is None
    assert own["cdr"]["payout"] == "0.00"


async def test_storage_away_is_503() -> None:
    async with running_records(FakeServices(error=StorageUnavailableError("down"))) as api:
        reply = await api.get("/v1/calls/c-1")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
