"""Whatever is reported of a call, and whenever its lease ends: its hold only shrinks, and what is
booked on each side is booked once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.conversions import Conversion, Entry, Side
from auction.domain.ids import CallId, SourceId
from auction.domain.lifecycle import (
    Applied,
    CallState,
    Happening,
    Progress,
    apply_event,
    transition,
)
from auction.domain.switch_events import CallEvent, EventType
from auction.domain.terms import ConversionRule, Measure, PayoutRule, Trigger
from auction.domain.usage import Change, held_by, plus
from storage.holds import Hold, HoldState, sold
from storage.settling import Account, Cause, Settled, lapse, settle
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

payouts = st.lists(
    st.one_of(
        st.builds(
            PayoutRule,
            source=st.none(),
            trigger=st.sampled_from(Trigger),
            connected_s=st.sampled_from([0, 30, 90]),
            amount=st.just(Decimal("7.00")),
        ),
        st.builds(
            PayoutRule,
            source=st.none(),
            trigger=st.sampled_from(Trigger),
            connected_s=st.sampled_from([0, 30, 90]),
            percent=st.sampled_from([Decimal(25), Decimal("33.3333")]),
        ),
    ),
    max_size=2,
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
    entries: list[Entry] = field(default_factory=list)
    account: Account = field(default_factory=Account)

    @property
    def earned(self) -> list[Conversion]:
        """What the buyer owes."""
        return [
            Conversion(entry.trigger, entry.amount)
            for entry in self.entries
            if entry.side is Side.BUYER
        ]

    @property
    def owed(self) -> list[Conversion]:
        """What the source is owed."""
        return [
            Conversion(entry.trigger, entry.amount)
            for entry in self.entries
            if entry.side is Side.SOURCE
        ]

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
        cause = Cause(event.at, "switch")
        self._keep(settle(self.hold, self.progress, self.account, cause, now=NOW))

    def _lapse(self) -> None:
        if self.hold.sweep_at is None:
            return
        settled = lapse(self.hold, self.progress, self.account, actor="lease", now=NOW)
        step = transition(self.progress.state, Happening.LEASE_EXPIRED)
        if step is not None:
            self.progress = Progress(
                step.state, NOON, 1, self.progress.answered_at, self.progress.ended_at
            )
        self._keep(settled)

    def _keep(self, settled: Settled) -> None:
        self.hold = settled.hold
        for entry in settled.entries:
            self.entries.append(entry)
            self.account = self.account.after(entry)


def routed(*conversions: ConversionRule, payouts: tuple[PayoutRule, ...] = ()) -> Books:
    amounts = [rule.amount or Decimal("52.00") for rule in conversions]
    largest = int(max(amounts, default=Decimal(0)) * 10_000)
    units = (1, 1, 1, largest) if conversions else (1, 1, 0, 0)
    candidate = a_candidate(conversions=conversions, units=units, payouts=payouts)
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
        source=SourceId("pub-17"),
    )
    return Books(hold)


def assert_shrunk(before: Change, after: Change) -> None:
    assert 0 <= after.live <= before.live
    assert all(number >= 0 for number in (*after.used, *after.pending))
    was, now = plus(before.used, before.pending), plus(after.used, after.pending)
    assert all(now[measure] <= was[measure] for measure in Measure)
    assert all(after.pending[measure] <= before.pending[measure] for measure in Measure)


@given(rules, payouts, courses)
def test_a_hold_only_shrinks_and_each_side_is_booked_once(
    conversions: tuple[ConversionRule, ...],
    sources: tuple[PayoutRule, ...],
    course: list[CallEvent | None],
) -> None:
    books = routed(*conversions, payouts=sources)
    for step in course:
        books.take(step)
    assert len(books.earned) <= 1
    assert len(books.owed) <= 1
    assert (books.hold.converted_at is not None) is bool(books.earned)
    assert (books.hold.paid_at is not None) is bool(books.owed)
    for entry in books.entries:
        assert entry.change == entry.amount == books.account.booked[entry.side].amount
    shares = [entry for entry in books.entries if entry.percent is not None]
    assert books.earned or not shares


@given(rules, payouts, courses)
def test_what_leases_leave_behind_is_nothing_live_and_nothing_pending(
    conversions: tuple[ConversionRule, ...],
    sources: tuple[PayoutRule, ...],
    course: list[CallEvent | None],
) -> None:
    books = routed(*conversions, payouts=sources)
    for step in [*course, LAPSE]:
        books.take(step)
    assert books.hold.holding.live == 0
    assert not any(books.hold.holding.pending[: Measure.CONVERSIONS])
    # A first lapse may leave what a buyer may still report, the one after it never does.
    books.take(LAPSE)
    assert books.hold.sweep_at is None
    assert not any(books.hold.holding.pending)


@given(rules, payouts, st.integers(0, 100), st.integers(0, 100), st.booleans())
def test_an_answer_and_an_end_settle_alike_in_either_order(
    conversions: tuple[ConversionRule, ...],
    sources: tuple[PayoutRule, ...],
    answered_s: int,
    talked_s: int,
    told: bool,
) -> None:
    def event(kind: EventType, at_s: int, connected: int | None = None) -> CallEvent:
        duration = None if connected is None else Decimal(connected)
        at = NOON + timedelta(seconds=at_s)
        return CallEvent(
            CallId("call-1"), kind.value, kind, 1, at, b"", connected_duration_s=duration
        )

    answer = event(EventType.ANSWERED, answered_s)
    end = event(EventType.ENDED, answered_s + talked_s, max(talked_s, 1) if told else None)
    in_order, out_of_order = (routed(*conversions, payouts=sources) for _ in range(2))
    for step in (answer, end):
        in_order.take(step)
    for step in (end, answer):
        out_of_order.take(step)
    assert in_order.hold.holding == out_of_order.hold.holding
    assert in_order.earned == out_of_order.earned
    assert in_order.owed == out_of_order.owed
