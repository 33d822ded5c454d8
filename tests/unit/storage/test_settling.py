"""What a hold becomes: reports, late reports, and leases that end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.conversions import (
    Booked,
    Conversion,
    Entry,
    EntryKind,
    PastConversion,
    Side,
)
from auction.domain.ids import CallId, SourceId
from auction.domain.lifecycle import CallState, Progress
from auction.domain.terms import ConversionRule, PayoutRule, Trigger
from auction.domain.usage import NOTHING, Change, held_by
from storage.holds import NOTHING_HELD, Hold, HoldState, sold
from storage.settling import (
    Account,
    Cause,
    Settled,
    attempt_progress,
    lapse,
    marked,
    settle,
    source_entry,
)
from tests.builders import CAMPAIGN, NOON
from tests.ledger_steps import a_candidate

NOW = datetime(2026, 11, 20, 17, 5, tzinfo=UTC)
LEASE = NOW + timedelta(seconds=80)
ANSWERED_AT = NOON + timedelta(seconds=8)
ENDED_AT = NOON + timedelta(seconds=128)
HELD = held_by((1, 1, 1, 520_000))
SOURCE = SourceId("pub-17")
NEW = Account()
DONE = Account(booked={Side.BUYER: Booked(Side.BUYER, 1, Trigger.ANSWERED, Decimal("52.00"))})


def a_hold(
    *rules: ConversionRule,
    payouts: tuple[PayoutRule, ...] = (),
    state: HoldState = HoldState.ROUTED,
    **changes: Any,
) -> Hold:
    candidate = a_candidate(
        conversions=rules or (ConversionRule(Trigger.ANSWERED),), payouts=payouts
    )
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
        source=SOURCE,
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


def report(hold: Hold, progress: Progress, *, account: Account = NEW) -> Settled:
    cause = Cause(ANSWERED_AT, "switch", "event-1")
    return settle(hold, progress, account, cause, now=NOW)


def earned(settled: Settled, side: Side = Side.BUYER) -> Conversion | None:
    """What a step has booked on a side."""
    for entry in settled.entries:
        if entry.side is side:
            assert entry.kind is EntryKind.BOOKED
            assert entry.change == entry.amount
            return Conversion(entry.trigger, entry.amount)
    return None


def test_an_answer_settles_the_answer_and_earns_the_default_conversion() -> None:
    settled = report(a_hold(), answered())
    assert settled.hold.state is HoldState.ANSWERED
    assert settled.hold.holding == Change(1, (1, 1, 1, 520_000), NOTHING)
    assert earned(settled) == Conversion(Trigger.ANSWERED, Decimal("52.00"))
    assert settled.hold.converted_at == ANSWERED_AT


def test_from_the_answer_on_the_lease_is_that_of_the_longest_call() -> None:
    hold = report(a_hold(), answered()).hold
    assert hold.lease_until == NOW + timedelta(hours=1)
    assert hold.sweep_at == NOW + timedelta(seconds=2)


def test_the_end_gives_the_slot_back_and_nothing_is_left_to_sweep() -> None:
    hold = report(report(a_hold(), answered()).hold, ended(), account=DONE).hold
    assert hold.state is HoldState.ENDED
    assert hold.holding == Change(0, (1, 1, 1, 520_000), NOTHING)
    assert hold.sweep_at is None


def test_a_timer_rule_waits_for_the_end() -> None:
    rule = ConversionRule(Trigger.TIMER, 90, Decimal("30.00"))
    waiting = report(a_hold(rule), answered())
    assert earned(waiting) is None
    assert waiting.hold.holding == Change(1, (1, 1, 0, 0), (0, 0, 1, 520_000))
    done = report(waiting.hold, ended("120"))
    assert earned(done) == Conversion(Trigger.TIMER, Decimal("30.00"))
    assert done.hold.holding == Change(0, (1, 1, 1, 300_000), NOTHING)


def test_a_call_too_short_for_its_timer_gives_the_conversion_back() -> None:
    rule = ConversionRule(Trigger.TIMER, 90)
    done = report(report(a_hold(rule), answered()).hold, ended("89.999"))
    assert earned(done) is None
    assert done.hold.holding == Change(0, (1, 1, 0, 0), NOTHING)


def test_a_call_that_was_surely_not_answered_uses_its_call_alone() -> None:
    hold = report(a_hold(), ended("0", heard_answer=False)).hold
    assert hold.holding == Change(0, (1, 0, 0, 0), NOTHING)
    assert hold.sweep_at is None


def test_an_end_without_a_word_of_an_answer_waits_a_little_for_one() -> None:
    hold = report(a_hold(), ended(None, heard_answer=False)).hold
    assert hold.holding == Change(0, (1, 0, 0, 0), (0, 1, 1, 520_000))
    assert hold.lease_until == NOW + timedelta(seconds=1)
    late = report(hold, ended())
    assert earned(late) is not None
    assert late.hold.holding == Change(0, (1, 1, 1, 520_000), NOTHING)


def test_after_that_it_gives_back_and_a_still_later_answer_earns_without_a_counter() -> None:
    hold = report(a_hold(), ended(None, heard_answer=False)).hold
    progress = ended(None, heard_answer=False)
    hold = lapse(hold, progress, Account(), actor="lease", now=NOW).hold
    assert (hold.state, hold.holding) == (HoldState.ENDED, Change(0, (1, 0, 0, 0), NOTHING))
    late = report(hold, ended())
    assert earned(late) is not None
    assert late.hold.holding == hold.holding


def test_with_a_postback_rule_the_conversion_stays_pending_after_the_end() -> None:
    rule = ConversionRule(Trigger.POSTBACK, postback_within_h=48)
    hold = report(report(a_hold(rule), answered()).hold, ended()).hold
    assert hold.holding == Change(0, (1, 1, 0, 0), (0, 0, 1, 520_000))
    assert hold.lease_until == NOW + timedelta(hours=48)
    assert hold.sweep_at is not None
    assert lapse(hold, ended(), Account(), actor="lease", now=NOW).hold.holding.pending == NOTHING


def test_a_route_that_nobody_answered_in_its_lease_gives_everything_back() -> None:
    routed = Progress(CallState.ROUTED, NOON)
    lost = lapse(a_hold(), routed, Account(), actor="lease", now=NOW)
    assert (lost.hold.state, lost.hold.holding) == (HoldState.LOST, NOTHING_HELD)
    assert (lost.hold.sweep_at, earned(lost)) == (None, None)


def test_an_answered_call_whose_lease_ends_keeps_its_call() -> None:
    rule = ConversionRule(Trigger.TIMER, 90)
    hold = lapse(
        report(a_hold(rule), answered()).hold, answered(), Account(), actor="lease", now=NOW
    ).hold
    assert (hold.state, hold.holding) == (HoldState.LOST, Change(0, (1, 1, 0, 0), NOTHING))


def test_an_end_after_the_lease_releases_nothing_again_but_earns() -> None:
    lost = lapse(a_hold(), Progress(CallState.ROUTED, NOON), Account(), actor="lease", now=NOW).hold
    late = report(lost, ended())
    assert late.hold.state is HoldState.ENDED
    assert late.hold.holding == NOTHING_HELD
    assert earned(late) is not None


def test_an_answer_after_the_lease_leaves_the_call_lost() -> None:
    lost = lapse(a_hold(), Progress(CallState.ROUTED, NOON), Account(), actor="lease", now=NOW).hold
    late = report(lost, Progress(CallState.LOST, NOON, answered_at=ANSWERED_AT))
    assert (late.hold.state, late.hold.holding) == (HoldState.LOST, NOTHING_HELD)


def test_a_hold_that_was_never_routed_is_released_as_if_it_had_not_been() -> None:
    hold = a_hold(state=HoldState.HELD)
    released = lapse(hold, Progress(CallState.DECIDING, NOON), Account(), actor="lease", now=NOW)
    assert (released.hold.state, released.hold.holding) == (HoldState.RELEASED, NOTHING_HELD)
    assert earned(released) is None


def test_nothing_is_earned_twice_or_by_buyers_that_are_not_billed() -> None:
    assert earned(report(a_hold(), answered(), account=DONE)) is None
    candidate = a_candidate(units=(1, 1, 0, 0))
    free = a_hold(terms=sold(candidate, NOON, ()), holding=held_by((1, 1, 0, 0)))
    settled = report(free, answered())
    assert earned(settled) is None
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


PAYS_8 = PayoutRule(None, Trigger.TIMER, 30, amount=Decimal("8.00"))
PAYS_A_QUARTER = PayoutRule(None, Trigger.ANSWERED, percent=Decimal(25))
ON_POSTBACK = ConversionRule(Trigger.POSTBACK, postback_within_h=48)
TIMER = ConversionRule(Trigger.TIMER, 90)


def test_the_sides_of_a_call_are_decided_apart() -> None:
    hold = a_hold(TIMER, payouts=(PAYS_8,))
    done = report(report(hold, answered()).hold, ended("60"))
    assert earned(done) is None
    assert earned(done, Side.SOURCE) == Conversion(Trigger.TIMER, Decimal("8.00"))
    assert (done.hold.converted_at, done.hold.paid_at) == (None, ANSWERED_AT)
    assert done.hold.holding == Change(0, (1, 1, 0, 0), NOTHING)


def test_both_sides_may_convert_at_once_and_a_share_is_that_of_what_was_just_earned() -> None:
    done = report(a_hold(payouts=(PAYS_A_QUARTER,)), answered())
    assert [entry.side for entry in done.entries] == [Side.BUYER, Side.SOURCE]
    payout = done.entries[1]
    assert (payout.amount, payout.percent) == (Decimal(13), Decimal(25))
    assert (payout.actor, payout.event_id, payout.at) == ("switch", "event-1", ANSWERED_AT)
    assert (done.hold.converted_at, done.hold.paid_at) == (ANSWERED_AT, ANSWERED_AT)


def test_a_share_waits_for_the_revenue() -> None:
    hold = a_hold(TIMER, payouts=(PAYS_A_QUARTER,))
    waiting = report(hold, answered())
    assert waiting.entries == ()
    assert earned(report(waiting.hold, ended("90")), Side.SOURCE) is not None
    assert report(waiting.hold, ended("89.6")).entries == ()


def test_a_test_call_books_nothing_on_either_side() -> None:
    settled = report(a_hold(payouts=(PAYS_8,)), ended(), account=Account(billed=False))
    assert settled.entries == ()
    assert settled.hold.holding == Change(0, (1, 1, 0, 0), NOTHING)


def test_a_call_to_a_buyer_that_is_not_billed_still_pays_its_source() -> None:
    terms = sold(a_candidate(units=(1, 1, 0, 0), conversions=(), payouts=(PAYS_8,)), NOON, ())
    done = report(a_hold(terms=terms, holding=held_by((1, 1, 0, 0))), ended())
    assert [entry.side for entry in done.entries] == [Side.SOURCE]


@pytest.mark.parametrize("withdrawn", [False, True])
def test_what_was_booked_once_is_not_booked_again(*, withdrawn: bool) -> None:
    sides = {
        side: Booked(side, 1, Trigger.TIMER, Decimal(0 if withdrawn else 8), withdrawn)
        for side in Side
    }
    settled = report(a_hold(payouts=(PAYS_8,)), ended(), account=Account(booked=sides))
    assert settled.entries == ()


def test_a_caller_who_converted_before_is_judged_by_the_next_rule() -> None:
    cheap = ConversionRule(Trigger.ANSWERED, amount=Decimal("5.00"))
    hold = a_hold(ConversionRule(Trigger.ANSWERED, dedupe_days=30), cheap)
    before = PastConversion(CallId("before"), hold.offer, CAMPAIGN, SOURCE, NOON, NOON)
    settled = report(hold, answered(), account=Account(past=(before,)))
    assert earned(settled) == Conversion(Trigger.ANSWERED, Decimal("5.00"))
    assert settled.hold.holding == Change(1, (1, 1, 1, 50_000), NOTHING)


def test_a_payout_looks_at_the_sources_own_conversions() -> None:
    payouts = (PayoutRule(None, Trigger.ANSWERED, amount=Decimal(8), dedupe_days=30),)
    hold = a_hold(payouts=payouts)
    unpaid = PastConversion(CallId("before"), hold.offer, CAMPAIGN, SOURCE, NOON, None)
    paid = PastConversion(CallId("before"), hold.offer, CAMPAIGN, SOURCE, None, NOON)
    settled = report(hold, answered(), account=Account(past=(unpaid,)))
    assert earned(settled, Side.SOURCE) is not None
    settled = report(hold, answered(), account=Account(past=(paid,)))
    assert earned(settled, Side.SOURCE) is None


def test_a_report_of_an_attempt_that_failed_books_and_takes_no_counter() -> None:
    failed = a_hold(payouts=(PAYS_8,)).failed("busy", 486)
    done = report(failed, ended("120"))
    assert done.hold.state is HoldState.FAILED
    assert done.hold.holding == failed.holding == NOTHING_HELD
    assert (done.hold.sweep_at, done.hold.lease_until) == (None, LEASE)
    assert done.hold.connected_duration_s == 120
    assert [entry.side for entry in done.entries] == [Side.BUYER, Side.SOURCE]


def test_an_attempt_before_has_come_as_far_as_its_hold_says() -> None:
    call = Progress(CallState.REROUTING, NOON, attempt=2)
    failed = a_hold(state=HoldState.FAILED)
    assert attempt_progress(failed, call) == Progress(CallState.ROUTED, NOON)
    heard = replace(failed, answered_at=ANSWERED_AT)
    assert attempt_progress(heard, call) == answered()
    over = replace(heard, ended_at=ENDED_AT, connected_duration_s=Decimal(9))
    progress = attempt_progress(over, call)
    assert progress.facts.ended
    assert progress.facts.connected_s == 9
    assert attempt_progress(replace(failed, attempt=2), call) is call


def test_an_answered_call_given_up_earns_what_an_answer_alone_earns() -> None:
    cheap = ConversionRule(Trigger.ANSWERED, amount=Decimal("5.00"))
    hold = report(a_hold(TIMER, cheap, payouts=(PAYS_A_QUARTER,)), answered()).hold
    lost = lapse(hold, answered(), NEW, actor="lease", now=NOW)
    assert earned(lost) == Conversion(Trigger.ANSWERED, Decimal("5.00"))
    assert earned(lost, Side.SOURCE) == Conversion(Trigger.ANSWERED, Decimal("1.25"))
    assert {(entry.actor, entry.at, entry.event_id) for entry in lost.entries} == {
        ("lease", NOW, None)
    }
    assert lost.hold.holding == Change(0, (1, 1, 1, 50_000), NOTHING)
    assert (lost.hold.converted_at, lost.hold.paid_at) == (NOW, NOW)


def test_an_answered_call_given_up_waits_for_the_buyers_report_and_then_no_longer() -> None:
    hold = report(a_hold(ON_POSTBACK), answered()).hold
    waiting = lapse(hold, answered(), NEW, actor="lease", now=NOW).hold
    assert waiting.state is HoldState.LOST
    assert waiting.holding == Change(0, (1, 1, 0, 0), (0, 0, 1, 520_000))
    assert waiting.lease_until == waiting.sweep_at == NOW + timedelta(hours=48)
    lost = Progress(CallState.LOST, NOON, answered_at=ANSWERED_AT)
    done = lapse(waiting, lost, NEW, actor="lease", now=NOW)
    assert done.hold.holding == Change(0, (1, 1, 0, 0), NOTHING)
    assert (done.hold.sweep_at, done.entries) == (None, ())


def test_a_late_end_of_a_call_that_waits_for_the_buyers_report_starts_its_time_anew() -> None:
    hold = report(a_hold(ON_POSTBACK), answered()).hold
    waiting = lapse(hold, answered(), NEW, actor="lease", now=NOW - timedelta(hours=9)).hold
    over = report(waiting, ended()).hold
    assert over.holding == Change(0, (1, 1, 0, 0), (0, 0, 1, 520_000))
    assert over.lease_until == NOW + timedelta(hours=48)


def test_a_route_that_nobody_answered_waits_for_no_report() -> None:
    routed = Progress(CallState.ROUTED, NOON)
    hold = lapse(a_hold(ON_POSTBACK), routed, NEW, actor="lease", now=NOW).hold
    assert (hold.holding, hold.sweep_at) == (NOTHING_HELD, None)


def test_a_late_route_that_nobody_came_for_earns_no_attempt() -> None:
    hold = a_hold(ConversionRule(Trigger.ATTEMPT))
    never = lapse(hold, Progress(CallState.LATE, NOON), NEW, actor="lease", now=NOW)
    assert (never.entries, never.hold.holding) == ((), NOTHING_HELD)
    taken = report(hold, answered())
    assert earned(taken) == Conversion(Trigger.ATTEMPT, Decimal("52.00"))


def test_an_attempt_is_earned_at_routing_and_kept_when_nobody_answers() -> None:
    routed = Progress(CallState.ROUTED, NOON)
    hold = a_hold(ConversionRule(Trigger.ATTEMPT))
    done = settle(hold, routed, NEW, Cause(NOW, "routing"), now=NOW)
    assert earned(done) == Conversion(Trigger.ATTEMPT, Decimal("52.00"))
    assert done.hold.holding == Change(1, (1, 0, 1, 520_000), (0, 1, 0, 0))
    assert (done.hold.state, done.hold.lease_until) == (HoldState.ROUTED, LEASE)
    lost = lapse(done.hold, routed, DONE, actor="lease", now=NOW)
    assert lost.hold.holding == Change(0, (0, 0, 1, 520_000), NOTHING)
    assert (lost.entries, lost.hold.converted_at) == ((), NOW)


def an_entry(kind: EntryKind, amount: str, side: Side = Side.BUYER) -> Entry:
    """What a buyer's report made of a side."""
    return Entry(
        CallId("call-1"),
        side,
        1,
        kind,
        Trigger.POSTBACK,
        Decimal(amount),
        Decimal(amount),
        NOW,
        "buyer:acme",
    )


def follow(account: Account, *payouts: PayoutRule, restores: bool = True) -> Entry | None:
    """The source's entry after the buyer's side has moved."""
    cause = Cause(NOW, "buyer:acme", "postback-1", "why")
    hold = a_hold(payouts=payouts)
    return source_entry(hold, ended().facts, account, cause, restores=restores)


def money(entry: Entry) -> tuple[EntryKind, str, str]:
    """What an entry does, what the side comes to, and what that adds to the totals."""
    return entry.kind, f"{entry.amount:.4f}", f"{entry.change:.4f}"


def test_the_source_side_follows_what_a_buyer_reports() -> None:
    booked = DONE.after(an_entry(EntryKind.AMENDED, "60.00"))
    first = follow(booked, PAYS_A_QUARTER)
    assert first is not None
    assert money(first) == (EntryKind.BOOKED, "15.0000", "15.0000")
    assert (first.actor, first.event_id, first.note) == ("buyer:acme", "postback-1", "why")
    booked = booked.after(first).after(an_entry(EntryKind.AMENDED, "40.00"))
    second = follow(booked, PAYS_A_QUARTER)
    assert second is not None
    assert money(second) == (EntryKind.AMENDED, "10.0000", "-5.0000")
    booked = booked.after(second).after(an_entry(EntryKind.WITHDRAWN, "0"))
    third = follow(booked, PAYS_A_QUARTER)
    assert third is not None
    assert money(third) == (EntryKind.WITHDRAWN, "0.0000", "-10.0000")
    booked = booked.after(third)
    assert follow(booked, PAYS_A_QUARTER) is None
    booked = booked.after(an_entry(EntryKind.AMENDED, "8.00"))
    assert follow(booked, PAYS_A_QUARTER, restores=False) is None
    last = follow(booked, PAYS_A_QUARTER)
    assert last is not None
    assert money(last) == (EntryKind.AMENDED, "2.0000", "2.0000")


def test_a_payout_on_a_postback_needs_a_conversion_that_the_buyer_reported() -> None:
    rule = PayoutRule(None, Trigger.POSTBACK, amount=Decimal("7.00"))
    assert follow(DONE, rule, restores=False) is None
    assert follow(DONE, rule) is not None
    reported = NEW.after(an_entry(EntryKind.BOOKED, "60.00"))
    assert follow(reported, rule, restores=False) is not None
    assert follow(reported.after(an_entry(EntryKind.WITHDRAWN, "0")), rule) is None


def test_a_payout_stays_with_the_attempt_that_earned_it() -> None:
    paid = Booked(Side.SOURCE, 2, Trigger.ANSWERED, Decimal(13), percent=Decimal(25))
    booked = replace(DONE, booked={**DONE.booked, Side.SOURCE: paid})
    entry = follow(booked.after(an_entry(EntryKind.AMENDED, "60.00")), PAYS_A_QUARTER)
    assert entry is not None
    assert entry.attempt == 2
    assert entry.change == 2


@pytest.mark.parametrize("side", list(Side))
def test_a_hold_keeps_when_each_side_of_it_converted(side: Side) -> None:
    def at(hold: Hold) -> datetime | None:
        return hold.converted_at if side is Side.BUYER else hold.paid_at

    hold = marked(a_hold(), an_entry(EntryKind.BOOKED, "1", side))
    assert at(hold) == NOW
    later = replace(an_entry(EntryKind.AMENDED, "2", side), at=ENDED_AT)
    assert at(marked(hold, later)) == NOW
    hold = marked(hold, an_entry(EntryKind.WITHDRAWN, "0", side))
    assert at(hold) is None
    assert at(marked(hold, later)) == ENDED_AT
