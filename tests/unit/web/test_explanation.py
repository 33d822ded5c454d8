"""The stored trace, completed by what the fixed terms tell again."""

from decimal import Decimal

import orjson
import pytest

from auction.domain.ids import OfferId
from auction.domain.reasons import Reason
from auction.domain.trace import TraceEntry
from auction.engine.outcome import Outcome
from auction.engine.outcomes import Outcomes
from auction.web.explanation import explain, read_trace, render_entry
from tests.builders import a_call, a_campaign, a_static_offer, an_offer


def a_trace(*offers: dict[str, object]) -> bytes:
    times = dict.fromkeys(("eligible_ms", "ping_ms", "post_ms", "total_ms"), 1.5)
    return orjson.dumps({"revision": 3, **times, "offers": offers})


def test_every_offer_has_one_entry_in_order_of_id() -> None:
    campaign = a_campaign(
        an_offer("delta", required_fields=("homeowner",)),
        an_offer("acme"),
        a_static_offer("cobalt", enabled=False),
        an_offer("beacon"),
    )
    trace = read_trace(a_trace({"offer": "beacon", "code": None}, {"offer": "acme", "code": 305}))
    entries = explain(campaign, a_call(), trace)
    assert [(each.offer, each.reason) for each in entries] == [
        ("acme", Reason.OUTBID),
        ("beacon", None),
        ("cobalt", Reason.PAUSED),
        ("delta", Reason.MISSING_FIELD),
    ]
    assert entries[3].detail == "homeowner"


def test_a_stored_entry_is_never_replaced_by_what_the_terms_say() -> None:
    campaign = a_campaign(an_offer("acme", enabled=False))
    trace = read_trace(a_trace({"offer": "acme", "code": 401, "detail": "no"}))
    assert explain(campaign, a_call(), trace) == (
        TraceEntry(OfferId("acme"), Reason.POST_REJECTED, "no"),
    )


def test_an_allowed_offer_that_the_decision_never_reached_was_not_asked() -> None:
    [entry] = explain(a_campaign(an_offer("acme")), a_call(), read_trace(a_trace()))
    assert entry.reason is Reason.NOT_ASKED


def test_without_a_campaign_the_stored_entries_stand_alone() -> None:
    trace = read_trace(a_trace({"offer": "acme", "code": 101, "ms": 500.0}))
    assert explain(None, a_call(), trace) == (
        TraceEntry(OfferId("acme"), Reason.TIMEOUT, ms=500.0),
    )


def test_what_the_engine_writes_is_what_is_read() -> None:
    outcomes = Outcomes(revision=9)
    outcomes.timings.ping_ms = 12.3456
    outcomes.record(
        Outcome(OfferId("acme"), Reason.BELOW_MINIMUM, "low", Decimal("3.50"), 10.12345, 2)
    )
    outcomes.refuse(OfferId("cobalt"), Reason.STANDBY)
    outcomes.route_statically(OfferId("cobalt"), pinged=False)
    trace = read_trace(outcomes.dump())
    assert (trace.revision, trace.timings.ping_ms) == (9, 12.346)
    assert trace.offers == (
        TraceEntry(
            OfferId("acme"), Reason.BELOW_MINIMUM, "low", Decimal("3.50"), 10.123, 2, static=False
        ),
        TraceEntry(OfferId("cobalt"), None, static=True),
    )


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_shown_by_name_and_number(reason: Reason) -> None:
    line = render_entry(TraceEntry(OfferId("acme"), reason), unmasked=False)
    assert (line["outcome"], line["code"]) == (reason.name.lower(), int(reason))


def test_a_win_has_no_number_and_static_shows_only_where_it_holds() -> None:
    won = render_entry(TraceEntry(OfferId("acme"), None, bid=Decimal(52)), unmasked=False)
    static = render_entry(TraceEntry(OfferId("acme"), Reason.TIMEOUT, static=True), unmasked=False)
    assert won == {
        "offer": "acme",
        "outcome": "won",
        "code": None,
        "detail": None,
        "bid": "52.00",
        "ms": None,
        "rank": None,
    }
    assert static["static"] is True
