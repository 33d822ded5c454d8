"""An alert's life, look by look."""

from dataclasses import replace

import pytest

from auction.domain.alert_terms import Comparison
from auction.domain.alerting import (
    QUIET,
    AlertEvent,
    AlertPhase,
    AlertState,
    Resolution,
    acknowledged,
    look,
)
from tests.alert_steps import a_rule, at, looks

FIRING = AlertState(AlertPhase.FIRING, since=at(0))


def test_it_fires_once_and_is_resolved_when_it_has_been_good_for_a_while() -> None:
    readings = [(0, 0.05), (1, 0.2), (2, 0.3), (3, 0.05), (4, 0.0), (5, 0.05), (6, 0.0)]
    steps = looks(a_rule(), readings)
    assert [step.event for step in steps] == [
        None,
        AlertEvent.FIRED,
        None,
        None,
        None,
        AlertEvent.RESOLVED,
        None,
    ]
    assert steps[1].state == AlertState(AlertPhase.FIRING, since=at(1))
    assert steps[5].resolution is Resolution.CLEARED
    assert steps[5].state == QUIET


def test_between_good_and_bad_nothing_changes_whichever_side_it_comes_from() -> None:
    inside = [(minute, 0.06 + minute % 4 / 100) for minute in range(1, 60)]
    assert {step.state for step in looks(a_rule(), inside)} == {QUIET}
    assert {step.state for step in looks(a_rule(), inside, FIRING)} == {FIRING}


def test_a_moment_that_is_not_good_begins_the_wait_anew() -> None:
    steps = looks(a_rule(), [(1, 0.0), (2, 0.07), (3, 0.0), (4, 0.0), (5, 0.0)], FIRING)
    assert [step.event for step in steps] == [None] * 4 + [AlertEvent.RESOLVED]


def test_no_reading_changes_nothing_of_what_fires() -> None:
    steps = looks(a_rule(), [(1, 0.0), (2, None), (200, None)], FIRING)
    assert steps[1].state == steps[0].state
    assert steps[2].event is AlertEvent.RESOLVED
    assert looks(a_rule(), [(1, None), (200, None)], FIRING)[-1].state == FIRING


def test_it_has_to_be_bad_without_a_break_for_as_long_as_the_rule_says() -> None:
    rule = a_rule(for_minutes=3)
    steps = looks(rule, [(0, 0.2), (2, 0.2), (2.5, 0.08), (3, 0.2), (5, None), (6, 0.2), (9, 0.2)])
    phases = [step.state.phase.value for step in steps]
    assert phases == ["pending", "pending", "ok", "pending", "ok", "pending", "firing"]
    assert steps[1].state.since == at(0)
    assert steps[-1].state.since == at(9)


def test_it_escalates_once_unless_somebody_sees_to_it() -> None:
    rule = a_rule(escalate=10)
    steps = looks(rule, [(9, 0.2), (10, 0.2), (11, 0.2)], FIRING)
    assert [step.event for step in steps] == [None, AlertEvent.ESCALATED, None]
    seen_to = acknowledged(FIRING)
    assert seen_to.phase is AlertPhase.ACKNOWLEDGED
    assert [step.event for step in looks(rule, [(9, 0.2), (30, 0.2)], seen_to)] == [None, None]
    assert looks(rule, [(31, 0.0), (33, 0.0)], seen_to)[-1].event is AlertEvent.RESOLVED


@pytest.mark.parametrize("state", [QUIET, AlertState(AlertPhase.PENDING, since=at(0))])
def test_only_what_fires_is_acknowledged(state: AlertState) -> None:
    assert acknowledged(state) == state


def test_a_paused_offer_is_tried_again_after_its_time_and_judged_by_what_comes_then() -> None:
    paused = replace(FIRING, paused_at=at(1))
    steps = looks(a_rule(pause=30), [(30, None), (31, None), (32, None)], paused)
    assert [step.event for step in steps] == [None, AlertEvent.RESOLVED, None]
    assert steps[1].resolution is Resolution.PAUSE_OVER
    assert steps[2].state == AlertState(counted_from=at(31))
    again = looks(a_rule(pause=30), [(33, 0.2)], steps[2].state)[0]
    assert again.event is AlertEvent.FIRED
    assert again.state.counted_from == at(31)


def test_a_pause_without_an_end_or_one_not_made_yet_lasts_until_it_is_good() -> None:
    for rule, state in (
        (a_rule(pause=None), replace(FIRING, paused_at=at(1))),
        (a_rule(pause=5), FIRING),
    ):
        assert look(rule, state, None, at(500)).state == state
        assert looks(rule, [(501, 0.0), (503, 0.0)], state)[-1].event is AlertEvent.RESOLVED


@pytest.mark.parametrize(
    ("comparison", "bad", "band", "good"),
    [
        (Comparison.ABOVE, 0.11, 0.10, 0.05),
        (Comparison.AT_LEAST, 0.10, 0.09, 0.05),
        (Comparison.BELOW, 0.09, 0.10, 0.15),
    ],
)
def test_what_is_bad_and_what_is_good_again(
    comparison: Comparison, bad: float, band: float, good: float
) -> None:
    condition = a_rule(
        comparison=comparison, clear=0.15 if comparison is Comparison.BELOW else 0.05
    ).condition
    assert [condition.is_bad(each) for each in (bad, band, good)] == [True, False, False]
    assert [condition.is_good(each) for each in (bad, band, good)] == [False, False, True]
