"""Events in any order and number."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.ids import CallId
from auction.domain.lifecycle import (
    Applied,
    CallState,
    Effect,
    OfEarlier,
    Progress,
    apply_event,
)
from auction.domain.switch_events import CallEvent, EventType
from tests.builders import NOON

DURATIONS = st.one_of(st.none(), st.decimals(0, 86_400, places=3))
EVENTS = st.lists(
    st.builds(
        lambda kind, ms, attempt, total, connected: CallEvent(
            CallId("call-1"),
            "event",
            kind,
            attempt,
            NOON + timedelta(milliseconds=ms),
            b"",
            None if total is None else max(total, connected or Decimal(0)),
            connected,
        ),
        st.sampled_from(list(EventType)),
        st.integers(-2_000, 200_000_000),
        st.sampled_from([None, 1, 2]),
        DURATIONS,
        DURATIONS,
    ),
    max_size=8,
)


def run(state: CallState, events: list[CallEvent]) -> tuple[Progress, list[Applied]]:
    """The call after all events, and what counted."""
    progress, counted = Progress(state, NOON), []
    for event in events:
        outcome = apply_event(progress, event)
        if isinstance(outcome, Applied):
            progress = outcome.progress
            counted.append(outcome)
    return progress, counted


@given(st.sampled_from(list(CallState)), EVENTS)
def test_each_thing_counts_at_most_once(state: CallState, events: list[CallEvent]) -> None:
    progress, counted = run(state, events)
    assert sum(one.newly_answered for one in counted) <= 1
    assert sum(one.effect is Effect.RELEASE for one in counted) <= 1
    assert any(one.effect is Effect.RELEASE for one in counted) == (
        state.live and not progress.state.live
    )


@given(st.sampled_from([CallState.LATE, CallState.ROUTED]), EVENTS)
def test_durations_stay_within_a_day_and_in_order(
    state: CallState, events: list[CallEvent]
) -> None:
    progress, _ = run(state, events)
    total, connected = progress.total_duration_s, progress.connected_duration_s
    if progress.state is CallState.ENDED:
        assert total is not None
        assert 0 <= (connected or 0) <= total <= 86_400
    else:
        assert total is None
        assert connected is None
    assert connected is None or connected == 0 or progress.answered_at is not None


@given(st.sampled_from(list(CallState)), EVENTS)
def test_no_report_of_an_attempt_before_moves_the_call(
    state: CallState, events: list[CallEvent]
) -> None:
    progress = Progress(state, NOON, attempt=2)
    for event in events:
        outcome = apply_event(progress, event)
        assert isinstance(outcome, OfEarlier) is (event.attempt == 1)


@given(st.permutations([EventType.ANSWERED, EventType.ENDED]), st.integers(0, 90), DURATIONS)
def test_answer_and_end_mean_the_same_in_either_order(
    order: list[EventType], answered_s: int, total: Decimal | None
) -> None:
    at = {EventType.ANSWERED: answered_s, EventType.ENDED: 100}
    events = [
        CallEvent(
            CallId("call-1"),
            kind.value,
            kind,
            1,
            NOON + timedelta(seconds=at[kind]),
            b"",
            total if kind is EventType.ENDED else None,
        )
        for kind in order
    ]
    assert run(CallState.ROUTED, events)[0] == run(CallState.ROUTED, events[::-1])[0]
