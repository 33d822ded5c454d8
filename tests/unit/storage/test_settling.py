"""What a hold becomes: reports, late reports, and leases that end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from auction.domain.conversions import Conversion
from auction.domain.ids import CallId
from auction.domain.lifecycle import CallState, Progress
from auction.domain.terms import ConversionRule, Trigger
from auction.domain.usage import NOTHING, Change, held_by
from storage.holds import NOTHING_HELD, Hold, HoldState, sold
from storage.settling import STRAGGLER_S, Settled, lapse, settle
from tests.builders import CAMPAIGN, NOON
from tests.ledger_steps import a_candidate

NOW = datetime(2026, 11, 20, 17, 5, tzinfo=UTC)
LEASE = NOW + timedelta(seconds=80)
ANSWERED_AT = NOON + timedelta(seconds=8)
ENDED_AT = NOON + timedelta(seconds=128)
HELD = held_by((1, 1, 1, 520_000))


def a_hold(*rules: ConversionRule, state: HoldState = HoldState.ROUTED, **changes: Any) -> Hold:
    candidate = a_candidate(conversions=rules or (ConversionRule(Trigger.ANSWERED),))
    hold = Hold(
        call_id=CallId("call-1"),
        attempt=1,
        state=state,
        position=0,
        campaign=CAMPAIGN,
        offer=candidate.offer,
        buyer=candidate.buyer,
        routed_by=candidate.routed_by,
        price=candidate.price,
        post_id=candidate.post_id,
        caller_hash=None,
        terms=sold(candidate, NOON, ()),
        holding=HELD,
        lease_until=LEASE,
        sweep_at=NOW + timedelta(seconds=2),
        answered_lease_ms=3_600_000,
    )
    return replace(hold, **changes)


def answered() -> Progress:
    return Progress(CallState.ANSWERED, NOON, answered_at=ANSWERED_AT)


def ended(connected: str | None = "120", *, heard_answer: bool = True) -> Progress:
    return Progress(
        CallState.ENDED,
        NOON,
        answered_at=ANSWERED_AT if heard_answer else None,
        ended_at=ENDED_AT,
        total_duration_s=Decimal(128),
        connected_duration_s=None if connected is None else Decimal(connected),
    )


def report(hold: Hold, progress: Progress, *, billed: bool = True) -> Settled:
    return settle(hold, progress, billed=billed, at=ANSWERED_AT, now=NOW)


def test_an_answer_settles_the_answer_and_earns_the_default_conversion() -> None:
    settled = report(a_hold(), answered())
    assert settled.hold.state is HoldState.ANSWERED
    assert settled.hold.holding == Change(1, (1, 1, 1, 520_000), NOTHING)
    assert settled.conversion == Conversion(Trigger.ANSWERED, Decimal("52.00"))
    assert settled.hold.converted_at == ANSWERED_AT


def test_from_the_answer_on_the_lease_is_that_of_the_longest_call() -> None:
    hold = report(a_hold(), answered()).hold
    assert hold.lease_until == NOW + timedelta(hours=1)
    assert hold.sweep_at == NOW + timedelta(seconds=2)


def test_the_end_gives_the_slot_back_and_nothing_is_left_to_sweep() -> None:
    hold = report(report(a_hold(), answered()).hold, ended(), billed=False).hold
    assert hold.state is HoldState.ENDED
    assert hold.holding == Change(0, (1, 1, 1, 520_000), NOTHING)
    assert hold.sweep_at is None


def test_a_timer_rule_waits_for_the_end() -> None:
    rule = ConversionRule(Trigger.TIMER, 90, Decimal("30.00"))
    waiting = report(a_hold(rule), answered())
    assert waiting.conversion is None
    assert waiting.hold.holding == Change(1, (1, 1, 0, 0), (0, 0, 1, 520_000))
    done = report(waiting.hold, ended("120"))
    assert done.conversion == Conversion(Trigger.TIMER, Decimal("30.00"))
    assert done.hold.holding == Change(0, (1, 1, 1, 300_000), NOTHING)


def test_a_call_too_short_for_its_timer_gives_the_conversion_back() -> None:
    rule = ConversionRule(Trigger.TIMER, 90)
    done = report(report(a_hold(rule), answered()).hold, ended("89.999"))
    assert done.conversion is None
    assert done.hold.holding == Change(0, (1, 1, 0, 0), NOTHING)


def test_a_call_that_was_surely_not_answered_uses_its_call_alone() -> None:
    hold = report(a_hold(), ended("0", heard_answer=False)).hold
    assert hold.holding == Change(0, (1, 0, 0, 0), NOTHING)
    assert hold.sweep_at is None


def test_an_end_without_a_word_of_an_answer_waits_a_little_for_one() -> None:
    hold = report(a_hold(), ended(None, heard_answer=False)).hold
    assert hold.holding == Change(0, (1, 0, 0, 0), (0, 1, 1, 520_000))
    assert hold.lease_until == NOW + timedelta(seconds=STRAGGLER_S)
    late = report(hold, ended())
    assert late.conversion is not None
    assert late.hold.holding == Change(0, (1, 1, 1, 520_000), NOTHING)


def test_after_that_it_gives_back_and_a_still_later_answer_earns_without_a_counter() -> None:
    hold = report(a_hold(), ended(None, heard_answer=False)).hold
    progress = ended(None, heard_answer=False)
    hold = lapse(hold, progress, billed=True, now=NOW).hold
    assert (hold.state, hold.holding) == (HoldState.ENDED, Change(0, (1, 0, 0, 0), NOTHING))
    late = report(hold, ended())
    assert late.conversion is not None
    assert late.hold.holding == hold.holding


def test_with_a_postback_rule_the_conversion_stays_pending_after_the_end() -> None:
    rule = ConversionRule(Trigger.POSTBACK, postback_within_h=48)
    hold = report(report(a_hold(rule), answered()).hold, ended()).hold
    assert hold.holding == Change(0, (1, 1, 0, 0), (0, 0, 1, 520_000))
    assert hold.lease_until == NOW + timedelta(hours=48)
    assert hold.sweep_at is not None
    assert lapse(hold, ended(), billed=True, now=NOW).hold.holding.pending == NOTHING


def test_a_route_that_nobody_answered_in_its_lease_gives_everything_back() -> None:
    routed = Progress(CallState.ROUTED, NOON)
    lost = lapse(a_hold(), routed, billed=True, now=NOW)
    assert (lost.hold.state, lost.hold.holding) == (HoldState.LOST, NOTHING_HELD)
    assert (lost.hold.sweep_at, lost.conversion) == (None, None)


def test_an_answered_call_whose_lease_ends_keeps_its_call() -> None:
    rule = ConversionRule(Trigger.TIMER, 90)
    hold = lapse(report(a_hold(rule), answered()).hold, answered(), billed=True, now=NOW).hold
    assert (hold.state, hold.holding) == (HoldState.LOST, Change(0, (1, 1, 0, 0), NOTHING))


def test_an_end_after_the_lease_releases_nothing_again_but_earns() -> None:
    lost = lapse(a_hold(), Progress(CallState.ROUTED, NOON), billed=True, now=NOW).hold
    late = report(lost, ended())
    assert late.hold.state is HoldState.ENDED
    assert late.hold.holding == NOTHING_HELD
    assert late.conversion is not None


def test_an_answer_after_the_lease_leaves_the_call_lost() -> None:
    lost = lapse(a_hold(), Progress(CallState.ROUTED, NOON), billed=True, now=NOW).hold
    late = report(lost, Progress(CallState.LOST, NOON, answered_at=ANSWERED_AT))
    assert (late.hold.state, late.hold.holding) == (HoldState.LOST, NOTHING_HELD)


def test_a_hold_that_was_never_routed_is_released_as_if_it_had_not_been() -> None:
    hold = a_hold(state=HoldState.HELD)
    released = lapse(hold, Progress(CallState.DECIDING, NOON), billed=True, now=NOW)
    assert (released.hold.state, released.hold.holding) == (HoldState.RELEASED, NOTHING_HELD)
    assert released.conversion is None


def test_nothing_is_earned_twice_or_by_buyers_that_are_not_billed() -> None:
    assert report(a_hold(), answered(), billed=False).conversion is None
    candidate = a_candidate(units=(1, 1, 0, 0))
    free = a_hold(terms=sold(candidate, NOON, ()), holding=held_by((1, 1, 0, 0)))
    settled = report(free, answered())
    assert settled.conversion is None
    assert settled.hold.holding == Change(1, (1, 1, 0, 0), NOTHING)


def test_a_conversion_of_less_than_was_held_gives_the_rest_back() -> None:
    rules = (
        ConversionRule(Trigger.TIMER, 600, Decimal("80.00")),
        ConversionRule(Trigger.ANSWERED, amount=Decimal("20.00")),
    )
    candidate = a_candidate(conversions=rules, units=(1, 1, 1, 800_000))
    terms = sold(candidate, NOON, ())
    hold = a_hold(*rules, terms=terms, holding=held_by(terms.units))
    done = report(hold, ended("120"))
    assert done.hold.holding == Change(0, (1, 1, 1, 200_000), NOTHING)
