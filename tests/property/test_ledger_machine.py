"""Any course of many calls leaves the books balanced and no cap passed, on a real PostgreSQL."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from auction.domain.call import Call
from auction.domain.finishing import Finished
from auction.domain.ids import BuyerId, OfferId, OwnerId, buyer_owner, offer_owner
from auction.domain.opening import AlreadyDecided, BeingDecided, Opened
from auction.domain.plan import Candidate
from auction.domain.reserving import NothingFits, Reserved, ReserveRequest, Superseded
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import Cap, ConversionRule, Measure, OwnerLimits, Period, Trigger
from auction.domain.usage import Usage
from storage.database import Database
from storage.events import CallEvents
from storage.sweeper import Sweeper
from tests.ledger_steps import (
    CLAIM_OVER,
    LEASE_OVER,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    an_event,
    an_opening,
    assert_balanced,
    from_number,
    limits,
    rewind,
)

Result = TypeVar("Result")

EAST, WEST = offer_owner(OfferId("east")), offer_owner(OfferId("west"))
SOLO, ACME = offer_owner(OfferId("solo")), buyer_owner(BuyerId("acme"))
CAPPED = {
    EAST: limits(EAST, Cap(Measure.CALLS, Period.HOUR, 2), concurrency=2),
    WEST: limits(WEST, Cap(Measure.REVENUE, Period.TOTAL, 1_000_000)),
    SOLO: limits(SOLO, Cap(Measure.CONVERSIONS, Period.DAY, 1), concurrency=3),
    ACME: limits(ACME, Cap(Measure.ANSWERED, Period.DAY, 3), Cap(Measure.CALLS, Period.MONTH, 4)),
}
TIMER = ConversionRule(Trigger.TIMER, 90, Decimal("30.00"))
PLACES = (
    a_candidate("east", offer_limits=CAPPED[EAST], buyer_limits=CAPPED[ACME]),
    a_candidate(
        "west",
        price="40.00",
        offer_limits=CAPPED[WEST],
        buyer_limits=CAPPED[ACME],
        conversions=(TIMER, ConversionRule(Trigger.ANSWERED)),
    ),
    a_candidate("solo", buyer="solo", offer_limits=CAPPED[SOLO]),
)
ARRIVALS = tuple(
    datetime(2026, 11, day, hour, minute, tzinfo=UTC)
    for day, hour, minute in ((20, 4, 59), (20, 5, 0), (20, 6, 30), (21, 5, 1), (21, 9, 0))
)
TABLES = "calls, reservations, usage_counters, plans, traces, events, conversions"


@dataclass(slots=True)
class Course:
    """What the test knows of one call."""

    call: Call
    epoch: int = 1
    request: ReserveRequest | None = field(default=None, repr=False)
    held: Candidate | None = field(default=None, repr=False)
    decided: bool = False
    live: bool = False
    unclaimed: bool = False
    reports: int = 0


class LedgerMachine(RuleBasedStateMachine):
    """Deciders, switches and the sweeper, doing anything in any order."""

    dsn: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = self.run(Database.connect(self.dsn, max_size=3))
        self.run(self._empty())
        self.ledger = a_ledger(self.database)
        self.events = CallEvents(self.database, lambda _: None)
        self.sweeper = Sweeper(self.database)
        self.courses: list[Course] = []

    def run(self, work: Awaitable[Result]) -> Result:
        async def waiting() -> Result:
            return await work

        return self.runner.run(waiting())

    async def _empty(self) -> None:
        async with self.database.connection() as connection:
            await connection.execute(f"truncate {TABLES}")

    def teardown(self) -> None:
        self.run(self.database.close())
        self.runner.close()

    @rule(arrival=st.sampled_from(ARRIVALS))
    def a_call_comes_in(self, arrival: datetime) -> None:
        number = len(self.courses)
        call = a_recent_call(f"call-{number}", received_at=arrival, caller=from_number(number % 3))
        opened = self.run(self.ledger.open(an_opening(call)))
        assert isinstance(opened, Opened)
        self.courses.append(Course(call))

    def any_course(self, data: st.DataObject, *, decided: bool) -> Course | None:
        some = [course for course in self.courses if course.decided is decided]
        return data.draw(st.sampled_from(some)) if some else None

    @precondition(lambda self: self.courses)
    @rule(data=st.data(), plan=st.permutations(PLACES), length=st.integers(0, 3))
    def it_reserves(self, data: st.DataObject, plan: list[Candidate], length: int) -> None:
        course = self.any_course(data, decided=False)
        if course is None:
            return
        request = a_request(course.call, *plan, epoch=course.epoch, start=3 - length)
        result = self.run(self.ledger.reserve(request))
        course.request = request
        if isinstance(result, Reserved):
            course.held = request.candidates[result.position]
        else:
            assert isinstance(result, NothingFits)
            assert len(result.refused) == length
            course.held = None
        course.live = course.held is not None

    @precondition(lambda self: self.courses)
    @rule(data=st.data())
    def it_repeats_its_request(self, data: st.DataObject) -> None:
        course = self.any_course(data, decided=False)
        if course is None or course.request is None or course.held is None:
            return
        before = self.run(assert_balanced(self.database))
        repeat = replace(course.request, epoch=course.epoch)
        result = self.run(self.ledger.reserve(repeat))
        assert isinstance(result, Reserved)
        assert repeat.candidates[result.position] == course.held
        assert self.run(assert_balanced(self.database)) == before

    @precondition(lambda self: self.courses)
    @rule(data=st.data(), route=st.booleans(), late=st.booleans())
    def it_is_decided(self, data: st.DataObject, route: bool, late: bool) -> None:
        course = self.any_course(data, decided=False)
        if course is None:
            return
        won = course.held if route else None
        finish = a_finish(course.call, won, epoch=course.epoch, late=late)
        assert self.run(self.ledger.finish(finish)) == Finished()
        assert isinstance(self.run(self.ledger.finish(finish)), Superseded)
        assert self.run(self.ledger.open(an_opening(course.call))) == AlreadyDecided(finish.answer)
        course.decided, course.held = True, won
        course.live = won is not None

    @precondition(lambda self: self.courses)
    @rule(
        data=st.data(),
        kind=st.sampled_from(EventType),
        at_s=st.integers(0, 200),
        connected_s=st.sampled_from([None, 0, 60, 90]),
        attempt=st.sampled_from([1, 1, 1, None, 2]),
    )
    def something_is_reported(
        self,
        data: st.DataObject,
        kind: EventType,
        at_s: int,
        connected_s: int | None,
        attempt: int | None,
    ) -> None:
        course = data.draw(st.sampled_from(self.courses))
        connected = None if connected_s is None else Decimal(connected_s)
        event = an_event(
            course.call,
            kind,
            at_s,
            event_id=f"{course.call.call_id}-{course.reports}",
            attempt=attempt,
            connected_duration_s=connected if kind is EventType.ENDED else None,
        )
        course.reports += 1
        result = self.run(self.events.record(event))
        nowhere = course.held is None and kind is EventType.ANSWERED
        if not course.decided or nowhere:
            assert result is EventResult.NOT_ROUTED
            return
        assert result in {EventResult.APPLIED, EventResult.IGNORED}
        # A report of an attempt that was never given is not remembered.
        again = EventResult.IGNORED if attempt == 2 else EventResult.REPEATED
        assert self.run(self.events.record(event)) is again
        if result is EventResult.APPLIED and kind is EventType.ENDED:
            course.live = False

    @precondition(lambda self: self.courses)
    @rule(data=st.data())
    def its_decider_dies(self, data: st.DataObject) -> None:
        course = self.any_course(data, decided=False)
        if course is None:
            return
        self.run(rewind(self.database, CLAIM_OVER, [course.call.call_id]))
        taken = self.run(self.ledger.open(an_opening(course.call)))
        assert isinstance(taken, Opened)
        assert taken.epoch > course.epoch
        assert isinstance(self.run(self.ledger.open(an_opening(course.call))), BeingDecided)
        plan = taken.plan
        assert (plan is None) == (course.request is None)
        if plan is not None:
            place = None if plan.position is None else plan.candidates[plan.position]
            assert course.held in {None, place}
        course.epoch = taken.epoch
        course.unclaimed = False

    @precondition(lambda self: self.courses)
    @rule(data=st.data(), dead=st.booleans())
    def its_lease_ends(self, data: st.DataObject, dead: bool) -> None:
        course = data.draw(st.sampled_from(self.courses))
        if dead:
            self.run(rewind(self.database, CLAIM_OVER, [course.call.call_id]))
            course.unclaimed = True
        self.run(rewind(self.database, LEASE_OVER, [course.call.call_id]))
        self.run(self.sweeper.sweep())
        if course.decided:
            course.live = False
        elif course.unclaimed and course.held is not None:
            course.held, course.live = None, False
            course.epoch = self.run(self._epoch(course))
            course.unclaimed = False

    async def _epoch(self, course: Course) -> int:
        """A swept hold supersedes its decider: the next one has an epoch beyond that."""
        opened = await self.ledger.open(an_opening(course.call))
        assert isinstance(opened, Opened)
        assert opened.epoch == course.epoch + 2
        return opened.epoch

    @invariant()
    def the_books_balance_and_no_cap_is_passed(self) -> None:
        usage = self.run(assert_balanced(self.database))
        for owner, limit in CAPPED.items():
            assert_within(usage.get(owner, Usage()), limit)
        live = sum(course.live for course in self.courses)
        assert sum(usage.get(owner, Usage()).live for owner in (EAST, WEST, SOLO)) == live

    @invariant()
    def no_counter_is_negative(self) -> None:
        for owner, usage in self.run(assert_balanced(self.database)).items():
            assert_not_negative(owner, usage)

    @invariant()
    def only_routed_calls_have_earned(self) -> None:
        earned = self.run(self._earned())
        routed = {course.call.call_id for course in self.courses if course.decided and course.held}
        assert earned <= routed

    async def _earned(self) -> set[str]:
        async with self.database.connection() as connection:
            rows = await connection.fetch("select call_id from conversions where side = 'buyer'")
        return {row["call_id"] for row in rows}


def assert_within(usage: Usage, limit: OwnerLimits) -> None:
    assert limit.concurrency is None or usage.live <= limit.concurrency
    for cap in limit.caps:
        for window in (usage.periods[cap.period].current, usage.periods[cap.period].previous):
            taken = window.used[cap.measure] + window.pending[cap.measure]
            assert taken <= cap.limit, (limit.owner, cap, window)


def assert_not_negative(owner: OwnerId, usage: Usage) -> None:
    assert usage.live >= 0, owner
    for period in usage.periods:
        for window in (period.current, period.previous):
            assert min(*window.used, *window.pending) >= 0, (owner, window)


def test_any_course_of_calls_leaves_the_books_balanced(dsn: str) -> None:
    machine = type("Machine", (LedgerMachine,), {"dsn": dsn})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
            report_multiple_bugs=False,
        ),
    )
