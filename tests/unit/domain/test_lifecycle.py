"""A call's life: every event in every state, and durations that follow from times."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from auction.domain.conversions import CallFacts
from auction.domain.ids import CallId
from auction.domain.lifecycle import (
    TRANSITIONS,
    Applied,
    CallState,
    Effect,
    Happening,
    NotApplied,
    OfEarlier,
    Progress,
    Transition,
    apply_event,
    transition,
)
from auction.domain.switch_events import CallEvent, EndedBy, EventResult, EventType
from tests.builders import NOON


def after(seconds: float) -> datetime:
    """So many seconds after the call's start."""
    return NOON + timedelta(seconds=seconds)


def progress(state: CallState = CallState.ROUTED, **changes: Any) -> Progress:
    """A call that started at noon."""
    return Progress(state, NOON, **changes)


def event(kind: EventType, seconds: float, **changes: Any) -> CallEvent:
    """A report about so many seconds after the start."""
    values: dict[str, Any] = {"attempt": 1, **changes}
    return CallEvent(
        CallId("call-1"), "event-1", kind, at=after(seconds), fingerprint=b"", **values
    )


def answered(seconds: float = 10, **changes: Any) -> CallEvent:
    """The target picked up."""
    return event(EventType.ANSWERED, seconds, **changes)


def ended(seconds: float = 100, **changes: Any) -> CallEvent:
    """The call is over."""
    durations = {
        name: Decimal(value)
        for name, value in changes.items()
        if name.endswith("duration_s") and value is not None
    }
    return event(EventType.ENDED, seconds, **(changes | durations))


def applied(to: Progress, *events: CallEvent) -> Progress:
    """The call after these events, each of which must count."""
    for one in events:
        outcome = apply_event(to, one)
        assert isinstance(outcome, Applied), outcome
        to = outcome.progress
    return to


def test_a_call_that_is_answered_and_ends() -> None:
    call = applied(progress(), answered(10), ended(100, ended_by=EndedBy.TARGET))
    assert call == progress(
        CallState.ENDED,
        answered_at=after(10),
        ended_at=after(100),
        total_duration_s=Decimal(100),
        connected_duration_s=Decimal(90),
        ended_by=EndedBy.TARGET,
    )


def test_a_call_that_nobody_answers() -> None:
    call = applied(progress(), ended(30))
    assert call.answered_at is None
    assert call.total_duration_s == 30
    assert call.connected_duration_s is None


def test_each_event_says_what_the_ledger_has_to_do() -> None:
    first = apply_event(progress(), answered())
    assert isinstance(first, Applied)
    assert (first.effect, first.newly_answered) == (Effect.SETTLE_ANSWER, True)
    second = apply_event(first.progress, ended())
    assert isinstance(second, Applied)
    assert (second.effect, second.newly_answered) == (Effect.RELEASE, False)


def test_an_end_with_connected_time_implies_an_answer() -> None:
    outcome = apply_event(progress(), ended(100, connected_duration_s="89.6"))
    assert isinstance(outcome, Applied)
    assert outcome.newly_answered
    assert outcome.progress.answered_at == after(10.4)
    assert outcome.progress.connected_duration_s == Decimal("89.6")


def test_an_end_without_connected_time_implies_none() -> None:
    outcome = apply_event(progress(), ended(100, connected_duration_s="0"))
    assert isinstance(outcome, Applied)
    assert not outcome.newly_answered
    assert outcome.progress.answered_at is None


def test_durations_that_are_given_stand_whatever_the_times_say() -> None:
    given = ended(100, total_duration_s="500.125", connected_duration_s="7.5")
    call = applied(progress(), answered(10), given)
    assert (call.total_duration_s, call.connected_duration_s) == (
        Decimal("500.125"),
        Decimal("7.5"),
    )


def test_derived_durations_keep_milliseconds_and_cut_the_rest() -> None:
    call = applied(progress(), answered(10), ended(99.6129))
    assert call.total_duration_s == Decimal("99.612")
    assert call.connected_duration_s == Decimal("89.612")


def test_a_derived_connected_time_is_never_above_a_given_total() -> None:
    assert applied(progress(), answered(0), ended(100, total_duration_s="95")).facts == CallFacts(
        answered=True, ended=True, connected_s=Decimal(95)
    )


def test_a_derived_total_is_never_below_a_given_connected_time() -> None:
    call = applied(progress(), ended(89, connected_duration_s="89.6"))
    assert call.total_duration_s == Decimal("89.6")


def test_times_before_the_start_of_the_call_give_no_negative_duration() -> None:
    call = applied(progress(), answered(-0.4), ended(-0.9))
    assert call.total_duration_s == call.connected_duration_s == 0


def test_a_derived_duration_is_a_day_at_most() -> None:
    call = applied(progress(), answered(0), ended(1_000_000))
    assert call.total_duration_s == call.connected_duration_s == 86_400


def test_an_answer_that_is_reported_after_the_end_counts() -> None:
    outcome = apply_event(applied(progress(), ended(100)), answered(10))
    assert isinstance(outcome, Applied)
    assert (outcome.effect, outcome.newly_answered) == (Effect.CORRECT, True)
    assert outcome.progress == applied(progress(), answered(10), ended(100))


def test_an_answer_after_the_end_stays_within_the_total_that_was_given() -> None:
    call = applied(progress(), ended(100, total_duration_s="80"), answered(10))
    assert call.connected_duration_s == 80


def test_an_answer_after_the_end_leaves_the_connected_time_that_was_given() -> None:
    call = applied(progress(), ended(100, connected_duration_s="0"), answered(10))
    assert call.answered_at == after(10)
    assert call.connected_duration_s == 0


def test_a_second_answer_or_end_changes_nothing() -> None:
    over = applied(progress(), answered(), ended())
    ignored = NotApplied(EventResult.IGNORED)
    assert apply_event(applied(progress(), answered()), answered(20)) == ignored
    assert apply_event(over, answered(20)) == ignored
    assert apply_event(over, ended(200)) == ignored


def test_a_lost_call_is_corrected_by_what_is_heard_later() -> None:
    lost = progress(CallState.LOST)
    heard = apply_event(lost, answered(10))
    assert isinstance(heard, Applied)
    assert (heard.progress.state, heard.effect) == (CallState.LOST, Effect.CORRECT)
    assert heard.progress.connected_duration_s is None
    assert apply_event(heard.progress, answered(20)) == NotApplied(EventResult.IGNORED)
    over = apply_event(heard.progress, ended(100))
    assert isinstance(over, Applied)
    assert (over.progress.state, over.effect) == (CallState.ENDED, Effect.CORRECT)
    assert over.progress.connected_duration_s == 90


NOT_ROUTED = NotApplied(EventResult.NOT_ROUTED)


@pytest.mark.parametrize("state", [CallState.DECIDING, CallState.REROUTING])
@pytest.mark.parametrize("report", [answered(), ended(), ended(attempt=None), ended(attempt=2)])
def test_a_call_that_is_being_decided_has_no_events(state: CallState, report: CallEvent) -> None:
    assert apply_event(progress(state), report) == NOT_ROUTED


def test_a_call_that_had_nowhere_to_go_can_only_end_once() -> None:
    nowhere = progress(CallState.NO_ROUTE)
    assert apply_event(nowhere, answered()) == NOT_ROUTED
    outcome = apply_event(nowhere, ended(30, ended_by=EndedBy.CALLER))
    assert outcome == Applied(
        progress(
            CallState.NO_ROUTE,
            ended_at=after(30),
            total_duration_s=Decimal(30),
            ended_by=EndedBy.CALLER,
        ),
        Effect.NONE,
        newly_answered=False,
    )
    assert isinstance(outcome, Applied)
    ignored = NotApplied(EventResult.IGNORED)
    assert apply_event(outcome.progress, ended(60)) == ignored
    assert apply_event(outcome.progress, answered(5)) == NOT_ROUTED


def test_the_end_of_a_call_that_had_nowhere_to_go_tells_of_no_answer() -> None:
    given = ended(30, total_duration_s="31.5", connected_duration_s="12")
    call = applied(progress(CallState.NO_ROUTE), given)
    assert call.total_duration_s == Decimal("31.5")
    assert (call.answered_at, call.connected_duration_s) == (None, None)


@pytest.mark.parametrize("state", [state for state in CallState if state is not CallState.DECIDING])
@pytest.mark.parametrize("report", [answered(attempt=1), ended(attempt=1)])
def test_an_event_of_an_attempt_before_is_about_that_one(
    state: CallState, report: CallEvent
) -> None:
    assert apply_event(progress(state, attempt=2), report) == OfEarlier(1)


def test_an_event_of_an_attempt_that_is_yet_to_come_is_ignored() -> None:
    second = progress(attempt=2)
    assert isinstance(apply_event(second, ended(attempt=2)), Applied)
    for number in (0, 3):
        ignored = NotApplied(EventResult.IGNORED)
        assert apply_event(second, ended(attempt=number)) == ignored
    nowhere = progress(CallState.NO_ROUTE)
    assert apply_event(nowhere, ended(attempt=2)) == NotApplied(EventResult.IGNORED)


def test_an_event_without_an_attempt_is_about_the_current_one() -> None:
    assert isinstance(apply_event(progress(attempt=2), ended(attempt=None)), Applied)


@pytest.mark.parametrize(
    ("state", "happening", "expected"),
    [
        ("deciding", "decided", ("routed", "hold")),
        ("deciding", "decided_late", ("late", "hold")),
        ("deciding", "found_no_route", ("no_route", "release")),
        ("rerouting", "decided", ("routed", "hold")),
        ("rerouting", "decided_late", ("late", "hold")),
        ("rerouting", "found_no_route", ("no_route", "release")),
        ("late", "attempt_failed", ("rerouting", "release")),
        ("routed", "attempt_failed", ("rerouting", "release")),
        ("answered", "attempt_failed", ("rerouting", "release")),
        ("ended", "attempt_failed", ("rerouting", "correct")),
        ("lost", "attempt_failed", ("rerouting", "correct")),
        ("late", "collected", ("routed", "hold")),
        ("late", "answered", ("answered", "settle_answer")),
        ("late", "ended", ("ended", "release")),
        ("late", "lease_expired", ("lost", "release")),
        ("routed", "answered", ("answered", "settle_answer")),
        ("routed", "ended", ("ended", "release")),
        ("routed", "lease_expired", ("lost", "release")),
        ("answered", "ended", ("ended", "release")),
        ("answered", "lease_expired", ("lost", "release")),
        ("ended", "answered", ("ended", "correct")),
        ("lost", "answered", ("lost", "correct")),
        ("lost", "ended", ("ended", "correct")),
        ("no_route", "ended", ("no_route", "none")),
    ],
)
def test_the_table_of_transitions(state: str, happening: str, expected: tuple[str, str]) -> None:
    after_it = Transition(CallState(expected[0]), Effect(expected[1]))
    assert transition(CallState(state), Happening(happening)) == after_it


def test_all_other_events_fit_nothing() -> None:
    others = set(product(CallState, Happening)) - set(TRANSITIONS)
    assert len(others) == len(CallState) * len(Happening) - 24
    assert all(transition(state, happening) is None for state, happening in others)


def test_a_slot_is_released_once_on_every_way_through_the_table() -> None:
    for (state, _), step in TRANSITIONS.items():
        if step.effect is Effect.RELEASE:
            assert state.live or state in (CallState.DECIDING, CallState.REROUTING)
            assert not step.state.live
        if step.effect is Effect.CORRECT:
            assert not state.live
            assert not step.state.live


@pytest.mark.parametrize(
    ("call", "facts"),
    [
        (progress(), CallFacts()),
        (progress(CallState.ANSWERED, answered_at=NOON), CallFacts(answered=True)),
        (progress(CallState.LOST, answered_at=NOON), CallFacts(answered=True, ended=True)),
        (
            progress(CallState.ENDED, answered_at=NOON, connected_duration_s=Decimal(7)),
            CallFacts(answered=True, ended=True, connected_s=Decimal(7)),
        ),
    ],
)
def test_conversions_see_what_is_known_of_the_call(call: Progress, facts: CallFacts) -> None:
    assert call.facts == facts
