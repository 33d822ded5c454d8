"""Alerts under any readings at any times."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.alert_terms import AlertRule
from auction.domain.alerting import QUIET, AlertEvent, AlertPhase, AlertState
from tests.alert_steps import a_rule, at, looks

Series = list[tuple[float, float | None]]

GAPS = st.sampled_from([0.25, 0.5, 1.0, 3.0, 40.0])
EDGES = st.sampled_from([0.0, 0.05, 0.0501, 0.0999, 0.1, 0.1001])
RULES = st.builds(
    a_rule,
    for_minutes=st.integers(0, 5),
    clear_after_minutes=st.integers(0, 5),
    pause=st.sampled_from(["no", None, 10]),
    escalate=st.none() | st.integers(0, 30),
)
SIDES = st.sampled_from([QUIET, AlertState(AlertPhase.FIRING, since=at(0))])


def series(readings: st.SearchStrategy[float | None]) -> st.SearchStrategy[Series]:
    """Readings at growing minutes."""
    pairs = st.lists(st.tuples(GAPS, readings), min_size=1, max_size=40)
    return pairs.map(
        lambda found: list(
            zip(accumulate(gap for gap, _ in found), (each for _, each in found), strict=True)
        )
    )


@given(RULES, SIDES, series(st.floats(0.0501, 0.1)))
def test_inside_the_band_nothing_ever_changes(
    rule: AlertRule, state: AlertState, readings: Series
) -> None:
    for step in looks(rule, readings, state):
        assert step.event in {None, AlertEvent.ESCALATED}
        assert step.state.phase is state.phase


@given(RULES, series(st.none() | st.floats(0, 1) | EDGES))
def test_it_fires_and_is_resolved_in_turn_and_never_faster_than_the_rule_allows(
    rule: AlertRule, readings: Series
) -> None:
    condition, fired_at, over_at, escalated = rule.condition, None, None, False
    steps = looks(rule, readings)
    for index, ((minute, reading), step) in enumerate(zip(readings, steps, strict=True)):
        if step.event is AlertEvent.FIRED:
            assert over_at is not None or fired_at is None
            recent = [
                was for at_, was in readings[: index + 1] if minute - at_ <= condition.for_minutes
            ]
            assert all(was is not None and condition.is_bad(was) for was in recent)
            fired_at, over_at, escalated = minute, None, False
        elif step.event is AlertEvent.ESCALATED:
            assert fired_at is not None
            assert not escalated
            assert minute - fired_at >= (rule.escalate_after_minutes or 0)
            escalated = True
        elif step.event is AlertEvent.RESOLVED:
            assert fired_at is not None
            assert over_at is None
            assert minute - fired_at >= condition.clear_after_minutes
            assert reading is None or condition.is_good(reading)
            over_at = minute
        assert step.state.is_active == (fired_at is not None and over_at is None)
