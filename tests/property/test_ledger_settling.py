"""Whatever is reported of a call, and whenever its lease ends, its hold only shrinks."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.conversions import Conversion
from auction.domain.decision import CallEvent, EventType
from auction.domain.ids import CallId
from auction.domain.lifecycle import (
    Applied,
    CallState,
    Happening,
    Progress,
    apply_event,
    transition,
)
from auction.domain.terms import ConversionRule, Measure, Trigger
from auction.domain.usage import Change, held_by, plus
from storage.holds import Hold, HoldState, sold
from storage.settling import lapse, settle
from tests.builders import CAMPAIGN, NOON
from tests.ledger_steps import a_candidate

NOW = datetime(2026, 11, 20, 17, 5, tzinfo=UTC)

rules = st.lists(
    st.builds(
        ConversionRule,
        trigger=st.sampled_from(Trigger),
        connected_s=st.sampled_from([0, 30, 90]),
        amount=st.sampled_from([None, Decimal("10.00"), Decimal("80.00")]),
    ),
    max_size=3,
).map(tuple)

reports = st.builds(
    CallEvent,
    call_id=st.just(CallId("call-1")),
    event_id=st.uuids().map(str),
    type=st.sampled_from(EventType),
    attempt=st.sampled_from([None, 1]),
    at=st.integers(0, 200).map(lambda s: NOON + timedelta(seconds=s)),
    fingerprint=st.just(b""),
    connected_duration_s=st.sampled_from([None, Decimal(0), Decimal(45), Decimal(120)]),
)
LAPSE = None
courses = st.lists(st.one_of(reports, st.just(LAPSE)), max_size=6)


@dataclass(slots=True)
class Books:
    """One routed call and all that became of it."""

    hold: Hold
    progress: Progress = field(default_factory=lambda: Progress(CallState.ROUTED, NOON))
    earned: list[Conversion] = field(default_factory=list)

    def take(self, step: CallEvent | None) -> None:
        """A report, or the end of the lease."""
        before = self.hold.holding
        if step is None:
            self._lapse()
        else:
            self._hear(step)
        assert_shrunk(before, self.hold.holding)

    def _hear(self, event: CallEvent) -> None:
        applied = apply_event(self.progress, event)
        if not isinstance(applied, Applied):
            return
        self.progress = applied.progress
        settled = settle(self.hold, self.progress, billed=not self.earned, at=event.at, now=NOW)
        self._keep(settled.hold, settled.conversion)

    def _lapse(self) -> None:
        if self.hold.sweep_at is None:
            return
        settled = lapse(self.hold, self.progress, billed=not self.earned, now=NOW)
        step = transition(self.progress.state, Happening.LEASE_EXPIRED)
        if step is not None:
            self.progress = Progress(
                step.state, NOON, 1, self.progress.answered_at, self.progress.ended_at
            )
        self._keep(settled.hold, settled.conversion)

    def _keep(self, hold: Hold, conversion: Conversion | None) -> None:
        self.hold = hold
        if conversion is not None:
            self.earned.append(conversion)


def routed(*conversions: ConversionRule) -> Books:
    amounts = [rule.amount or Decimal("52.00") for rule in conversions]
    largest = int(max(amounts, default=Decimal(0)) * 10_000)
    units = (1, 1, 1, largest) if conversions else (1, 1, 0, 0)
    candidate = a_candidate(conversions=conversions, units=units)
    hold = Hold(
        call_id=CallId("call-1"),
        attempt=1,
        state=HoldState.ROUTED,
        position=0,
        campaign=CAMPAIGN,
        offer=candidate.offer,
        buyer=candidate.buyer,
        routed_by=candidate.routed_by,
        price=candidate.price,
        post_id=None,
        caller_hash=None,
        terms=sold(candidate, NOON, ()),
        holding=held_by(units),
        lease_until=NOW,
        sweep_at=NOW,
        answered_lease_ms=60_000,
    )
    return Books(hold)


def assert_shrunk(before: Change, after: Change) -> None:
    assert 0 <= after.live <= before.live
    assert all(number >= 0 for number in (*after.used, *after.pending))
    was, now = plus(before.used, before.pending), plus(after.used, after.pending)
    assert all(now[measure] <= was[measure] for measure in Measure)
    assert all(after.pending[measure] <= before.pending[measure] for measure in Measure)


@given(rules, courses)
def test_a_hold_only_shrinks(
    conversions: tuple[ConversionRule, ...], course: list[CallEvent | None]
) -> None:
    books = routed(*conversions)
    for step in course:
        books.take(step)
    assert len(books.earned) <= 1
    assert books.hold.converted_at is None or books.earned


@given(rules, courses)
def test_what_a_lease_leaves_behind_is_nothing_live_and_nothing_pending(
    conversions: tuple[ConversionRule, ...], course: list[CallEvent | None]
) -> None:
    books = routed(*conversions)
    for step in [*course, LAPSE]:
        books.take(step)
    assert books.hold.sweep_at is None
    assert books.hold.holding.live == 0
    assert not any(books.hold.holding.pending)


@given(rules, st.integers(0, 100), st.integers(0, 100), st.booleans())
def test_an_answer_and_an_end_settle_alike_in_either_order(
    conversions: tuple[ConversionRule, ...], answered_s: int, talked_s: int, told: bool
) -> None:
    def event(kind: EventType, at_s: int, connected: int | None = None) -> CallEvent:
        duration = None if connected is None else Decimal(connected)
        at = NOON + timedelta(seconds=at_s)
        return CallEvent(
            CallId("call-1"), kind.value, kind, 1, at, b"", connected_duration_s=duration
        )

    answer = event(EventType.ANSWERED, answered_s)
    end = event(EventType.ENDED, answered_s + talked_s, max(talked_s, 1) if told else None)
    in_order, out_of_order = routed(*conversions), routed(*conversions)
    for step in (answer, end):
        in_order.take(step)
    for step in (end, answer):
        out_of_order.take(step)
    assert in_order.hold.holding == out_of_order.hold.holding
    assert in_order.earned == out_of_order.earned
