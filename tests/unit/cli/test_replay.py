"""``pingpost replay`` on records given by hand: what it takes, prints and exits with."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from auction.cli import main
from auction.cli import replay as command
from auction.domain.bidding import Quote
from auction.domain.call import Caller
from auction.domain.ids import OfferId
from auction.domain.reasons import Reason
from auction.domain.replay_record import Recorded
from auction.domain.trace import Timings, Trace, TraceEntry
from tests.builders import a_call, a_campaign, a_static_offer, an_offer

ACME, BEACON = OfferId("acme-auto"), OfferId("beacon-auto")
CALLER = "+13105551234"


def a_record(**changes: Any) -> Recorded:
    """Acme won with 52.00 over Beacon's 48.00; Cobalt is paused."""
    values: dict[str, Any] = {
        "call": a_call("1@switch-1"),
        "campaign": a_campaign(
            an_offer("acme-auto"),
            an_offer("beacon-auto", buyer="beacon"),
            a_static_offer(enabled=False),
        ),
        "currency": "USD",
        "default_country": "US",
        "trace": Trace(
            7,
            Timings(),
            (
                TraceEntry(ACME, None, f"call {CALLER}", Decimal(52), 20.0, 1),
                TraceEntry(BEACON, Reason.OUTBID, None, Decimal(48), 31.25, 2),
            ),
        ),
        "quotes": {ACME: Quote(amount="52"), BEACON: Quote(amount="48")},
        "price": Decimal(52),
        **changes,
    }
    return Recorded(**values)


def replayed(
    monkeypatch: pytest.MonkeyPatch, *options: str, record: Recorded | None = None
) -> Result:
    """What the command does with this record."""

    async def load(settings: object, call_id: str) -> Recorded:
        assert call_id == "1@switch-1"
        return record or a_record()

    monkeypatch.setattr(command, "_load", load)
    return CliRunner().invoke(main, ["replay", "1@switch-1", *options])


def test_the_same_decision_ends_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    result = replayed(monkeypatch)
    assert result.exit_code == 0, result.output
    assert "The same ranking, the same winner and price" in result.output
    assert "recorded: acme-auto (auction) at 52.00 USD; acme-auto > beacon-auto" in result.output
    assert "1 more refused by their own terms, then and now" in result.output
    assert "cobalt-auto" not in result.output


def test_another_decision_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    result = replayed(monkeypatch, record=a_record(price=Decimal(51)))
    assert result.exit_code == 1
    assert "The same ranking, another winner and price" in result.output


def test_other_terms_are_shown_beside_the_record_and_end_with_0(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ("--minimum-bid", "acme-auto=60", "--timeout", "beacon-auto=300")
    result = replayed(monkeypatch, *options)
    assert result.exit_code == 0, result.output
    told = "what if: minimum bid of acme-auto 60.00, timeout of beacon-auto 300 ms"
    assert told in result.output
    assert "again:    beacon-auto (auction) at 48.00 USD; beacon-auto" in result.output
    assert "price difference: -4.00 USD" in result.output
    assert "below_minimum" in result.output
    assert "assumed to accept" in result.output


def test_json_holds_every_offer_and_money_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    result = replayed(
        monkeypatch, "--json", "--disable", "acme-auto", "--minimum-bid", "acme-auto=0"
    )
    document = orjson.loads(result.output)
    assert document["changes"] == {
        "minimum_bids": {"acme-auto": "0.00"},
        "timeouts_ms": {},
        "disabled": ["acme-auto"],
    }
    assert (document["same"], document["revision"]) == (False, 7)
    assert document["recorded"] == {
        "action": "route",
        "offer": "acme-auto",
        "routed_by": "auction",
        "price": "52.00",
        "reason": None,
        "ranking": ["acme-auto", "beacon-auto"],
    }
    assert document["replayed"]["offer"] == "beacon-auto"
    assert document["price_difference"] == "-4.00"
    offers = {each["offer"]: each for each in document["offers"]}
    assert offers["acme-auto"]["replayed"]["outcome"] == "paused"
    assert offers["beacon-auto"]["note"] == "never reached in the record: assumed to accept"
    assert offers["cobalt-auto"]["recorded"] == offers["cobalt-auto"]["replayed"]


def test_a_route_that_is_no_more_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--disable", "acme-auto", "--disable", "beacon-auto")
    result = replayed(monkeypatch, *options)
    assert "again:    no route (no_eligible_offer); no bids" in result.output
    assert "what if: acme-auto disabled, beacon-auto disabled" in result.output


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_callers_numbers_are_masked(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    assert "3105551234" not in replayed(monkeypatch, *options).output


def test_a_withheld_caller_is_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    record = a_record(call=a_call("1@switch-1", caller=Caller()))
    assert "from a withheld caller" in replayed(monkeypatch, record=record).output


def test_what_looks_like_markup_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = OfferId("[red]odd[/]")
    trace = Trace(7, Timings(), (TraceEntry(odd, Reason.STANDBY),))
    record = a_record(trace=trace, price=None, reason="no_bid_and_no_static")
    assert "[red]odd[/]" in replayed(monkeypatch, record=record).output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--minimum-bid", "acme-auto"), "offer=amount"),
        (("--minimum-bid", "acme-auto=much"), "offer=amount"),
        (("--minimum-bid", "acme-auto=-1"), "offer=amount"),
        (("--minimum-bid", "=5"), "offer=amount"),
        (("--timeout", "acme-auto=0"), "offer=milliseconds"),
        (("--timeout", "acme-auto=30001"), "offer=milliseconds"),
        (("--timeout", "acme-auto=1e3"), "offer=milliseconds"),
        (("--disable", "nobody"), "'nobody' is no offer of the call's campaign"),
        (("--timeout", "nobody=5"), "'nobody' is no offer of the call's campaign"),
        (("--minimum-bid", "cobalt-auto=5"), "'cobalt-auto' does not bid"),
    ],
)
def test_options_that_mean_nothing_are_refused_with_2(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
) -> None:
    result = replayed(monkeypatch, *options)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_without_a_campaign_no_offer_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    record = a_record(
        campaign=None, trace=Trace(7, Timings()), price=None, reason="unknown_campaign"
    )
    assert replayed(monkeypatch, record=record).exit_code == 0
    assert replayed(monkeypatch, "--disable", "acme-auto", record=record).exit_code == 2
