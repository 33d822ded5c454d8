"""Whole lives in any order on a real PostgreSQL: caps hold, slots return, money adds up."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from auction.domain.bidding import PostRejected
from auction.domain.call import Call
from auction.domain.ids import OwnerId
from auction.domain.next_attempt import FailReason
from auction.domain.postbacks import Refused, Reported, ReportResult, ReportStatus
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import Cap, Measure, OwnerLimits, Period
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.database import Database
from tests.ledger_steps import CLAIM_OVER, LEASE_OVER, assert_balanced, rewind
from tests.property.test_ledger_machine import assert_not_negative, assert_within
from tests.unit.engine.harness import Answering, ScriptedGateway
from tests.whole_lives import (
    World,
    a_busy_catalogue,
    a_live_call,
    assert_money_adds_up,
    assert_returns_add_up,
    empty_tables,
)

Result = TypeVar("Result")

LIMITS: dict[str, Any] = {
    "concurrency": 2,
    "caps": (Cap(Measure.CALLS, Period.DAY, 3), Cap(Measure.CONVERSIONS, Period.TOTAL, 3)),
    "buyer_caps": (
        Cap(Measure.REVENUE, Period.MONTH, 900_000),
        Cap(Measure.ANSWERED, Period.TOTAL, 3),
    ),
}
BEYOND = """
    select distinct under ->> 0 as owner
    from conversion_entries as e
    join reservations as r using (call_id, attempt)
    cross join lateral json_array_elements(r.terms -> 'owners') as under
    where e.beyond_hold
"""
SOLD_TWICE = """
    select call_id from reservations
    where state in ('routed', 'answered', 'ended', 'lost')
    group by call_id having count(*) > 1
"""
HELD = "select count(*) from reservations where sweep_at is not null"
ROUTED_LONG_AGO = (
    "update reservations set routed_at = now() - interval '1 hour' where call_id = any($1)"
)


@dataclass(slots=True)
class Life:
    """What the switch knows of one call."""

    call: Call
    decision: dict[str, Any] = field(default_factory=dict)
    first: dict[str, Any] = field(default_factory=dict)
    attempt: int = 0
    reports: int = 0

    @property
    def routed(self) -> bool:
        return self.decision.get("action") == "route"


class LifeMachine(RuleBasedStateMachine):
    """Switches, buyers, sweepers and operators of the machine, doing anything in any order."""

    dsn: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = self.run(Database.connect(self.dsn, max_size=4))
        self.run(empty_tables(self.database))
        self.gateway = ScriptedGateway({"auction": Answering(after_ms=0, post_after_ms=0)})
        self.catalogue = a_busy_catalogue(**LIMITS)
        self.world = self.new_world()
        self.lives: list[Life] = []
        for caller in range(3):
            self.a_call_begins(caller, "pub-17")

    def new_world(self) -> World:
        async def made() -> World:
            return World(self.database, self.catalogue, self.gateway)

        return self.run(made())

    def run(self, work: Awaitable[Result]) -> Result:
        async def waiting() -> Result:
            return await work

        return self.runner.run(waiting())

    def teardown(self) -> None:
        self.run(self.everything_ends())
        self.run(self.database.close())
        self.runner.close()

    async def everything_ends(self) -> None:
        """When every lease is over, nothing is held and no counter waits for anything."""
        calls = [life.call.call_id for life in self.lives]
        for _ in range(3):
            await rewind(self.database, CLAIM_OVER, calls)
            await rewind(self.database, LEASE_OVER, calls)
            await self.world.sweeper.sweep()
        async with self.database.connection() as connection:
            assert await connection.fetchval(HELD) == 0
        for owner, usage in (await assert_balanced(self.database)).items():
            assert usage.live == 0, owner
            for period in usage.periods:
                assert max(period.current.pending) == 0, owner
        await assert_money_adds_up(self.database)

    def some(self, data: st.DataObject) -> Life:
        return data.draw(st.sampled_from(self.lives))

    @rule(caller=st.integers(0, 2), refuses=st.booleans(), source=st.sampled_from(["pub-17", None]))
    def a_call_comes_in(self, caller: int, refuses: bool, source: str | None) -> None:
        post = PostRejected("full") if refuses else None
        self.answer_posts_with(post)
        self.a_call_begins(caller, source)

    def a_call_begins(self, caller: int, source: str | None) -> None:
        call = a_live_call(f"call-{len(self.lives)}", caller=caller, source=source)
        life = Life(call)
        self.lives.append(life)
        life.decision = life.first = self.run(self.world.decide(call))
        life.attempt = 1

    def answer_posts_with(self, refusal: PostRejected | None) -> None:
        answering = Answering(after_ms=0, post_after_ms=0)
        if refusal is not None:
            answering.post = refusal
        self.gateway.script = {"auction": answering}

    @precondition(lambda self: self.lives)
    @rule(data=st.data())
    def the_switch_repeats_its_request(self, data: st.DataObject) -> None:
        life = self.some(data)
        assert self.run(self.world.decide(life.call)) == life.first

    @precondition(lambda self: self.lives)
    @rule(
        data=st.data(),
        back=st.sampled_from([0, 0, 0, 1]),
        reason=st.sampled_from(FailReason),
    )
    def an_attempt_fails(self, data: st.DataObject, back: int, reason: FailReason) -> None:
        life = self.some(data)
        failed = max(1, life.attempt - back)
        answer = self.run(self.world.fail(life.call.call_id, failed, reason))
        again = self.run(self.world.fail(life.call.call_id, failed, reason))
        assert again == answer
        if isinstance(answer, dict) and answer["attempt"] == life.attempt + 1:
            life.attempt, life.decision = answer["attempt"], answer

    @precondition(lambda self: self.lives)
    @rule(
        data=st.data(),
        kind=st.sampled_from(EventType),
        at_s=st.integers(0, 300),
        connected=st.sampled_from([None, "0", "60", "89.6", "90", "200.125"]),
        back=st.sampled_from([0, 0, 0, 1, None]),
    )
    def something_is_reported(
        self,
        data: st.DataObject,
        kind: EventType,
        at_s: int,
        connected: str | None,
        back: int | None,
    ) -> None:
        life = self.some(data)
        life.reports += 1
        report: dict[str, Any] = {
            "event_id": f"{life.call.call_id}-{life.reports}",
            "attempt": None if back is None else max(1, life.attempt - back),
            "connected_s": None
            if connected is None or kind is EventType.ANSWERED
            else Decimal(connected),
        }
        result = self.run(self.world.report(life.call, kind, at_s, **report))
        assert result in {EventResult.APPLIED, EventResult.IGNORED, EventResult.NOT_ROUTED}
        if result is not EventResult.NOT_ROUTED:
            repeated = self.run(self.world.report(life.call, kind, at_s, **report))
            # one that names an attempt which was never given is not remembered
            unknown = {EventResult.IGNORED} if result is EventResult.IGNORED else set()
            assert repeated in {EventResult.REPEATED, *unknown}

    @precondition(lambda self: self.lives)
    @rule(
        data=st.data(),
        event=st.integers(1, 4),
        amount=st.sampled_from([None, "0.01", "20", "35.5"]),
        status=st.sampled_from(ReportStatus),
    )
    def a_buyer_reports(
        self, data: st.DataObject, event: int, amount: str | None, status: ReportStatus
    ) -> None:
        life = self.some(data)
        given = None if amount is None else Decimal(amount)
        reported = self.world.post_back(
            life.call.call_id, f"crm-{event}", amount=given, status=status
        )
        result = self.run(reported)
        assert isinstance(result, Reported | Refused)

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), event=st.integers(1, 3), claws_back=st.booleans())
    def a_buyer_gives_a_call_back(self, data: st.DataObject, event: int, claws_back: bool) -> None:
        call_id = self.some(data).call.call_id
        returned = (call_id, f"return-{event}")
        result = self.run(self.world.give_back(*returned, claws_back=claws_back))
        again = self.run(self.world.give_back(*returned, claws_back=claws_back))
        if isinstance(result, Refused):
            assert again is result
        else:
            assert isinstance(again, Reported)
            assert (again.result, again.amount) == (ReportResult.REPEATED, result.amount)

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), event=st.integers(1, 2), reason=st.sampled_from(["rude", "wrong_number"]))
    def a_buyer_complains(self, data: st.DataObject, event: int, reason: str) -> None:
        complained = (self.some(data).call.call_id, f"complaint-{event}", reason)
        first = self.run(self.world.complain(*complained))
        assert self.run(self.world.complain(*complained)) is (None if first is None else False)

    @precondition(lambda self: self.lives)
    @rule(data=st.data())
    def a_lease_ends(self, data: st.DataObject) -> None:
        life = self.some(data)
        self.run(rewind(self.database, LEASE_OVER, [life.call.call_id]))
        self.run(self.world.sweeper.sweep())

    @precondition(lambda self: self.lives)
    @rule(data=st.data())
    def the_switch_has_lost_calls(self, data: st.DataObject) -> None:
        lost = data.draw(st.sets(st.sampled_from([life.call.call_id for life in self.lives])))
        listed = {life.call.call_id for life in self.lives} - lost
        self.run(rewind(self.database, ROUTED_LONG_AGO, lost))
        as_of = self.lives[-1].call.received_at + timedelta(seconds=1)
        closed = self.run(self.world.switches.compare("switch-1", as_of, listed)).closed
        assert set(closed) <= lost

    @rule()
    def the_process_restarts(self) -> None:
        self.world = self.new_world()

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), steps=st.integers(0, 3))
    def the_process_dies_while_it_decides(self, data: st.DataObject, steps: int) -> None:
        call = a_live_call(f"call-{len(self.lives)}", caller=1)
        self.run(self.die_within(call, steps))
        life = Life(call)
        self.lives.append(life)
        self.world = self.new_world()
        life.decision = life.first = self.run(self.decide_after_death(call))
        life.attempt = 1

    async def decide_after_death(self, call: Call) -> dict[str, Any]:
        """As a switch that asks until it is answered; each time the claim of the dead has run out.

        What the dead process had sent to the database may still take effect after its end.
        """
        for _ in range(5):
            await rewind(self.database, CLAIM_OVER, [call.call_id])
            try:
                return await self.world.decide(call)
            except StorageUnavailableError:
                continue
        raise AssertionError(call.call_id)

    async def die_within(self, call: Call, steps: int) -> None:
        """Begin a decision and let go of it after so many turns of the loop."""
        deciding = asyncio.create_task(self.world.decide(call))
        for _ in range(steps * 40):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(deciding, return_exceptions=True)

    @invariant()
    def the_books_balance_and_no_cap_is_passed(self) -> None:
        usage = self.run(assert_balanced(self.database))
        beyond = self.run(self._owners_beyond())
        for offer in self.catalogue.offers.values():
            for limit in offer.limits:
                counted = usage.get(limit.owner, Usage())
                assert_not_negative(limit.owner, counted)
                assert_within(counted, _hard(limit) if limit.owner in beyond else limit)

    async def _owners_beyond(self) -> set[OwnerId]:
        async with self.database.connection() as connection:
            return {row["owner"] for row in await connection.fetch(BEYOND)}

    @invariant()
    def a_call_is_in_one_place_at_most(self) -> None:
        self.run(self._assert_sold_once())

    async def _assert_sold_once(self) -> None:
        async with self.database.connection() as connection:
            assert await connection.fetch(SOLD_TWICE) == []

    @invariant()
    def money_is_the_sum_of_its_entries(self) -> None:
        self.run(assert_money_adds_up(self.database))

    @invariant()
    def a_return_takes_off_what_it_says(self) -> None:
        self.run(assert_returns_add_up(self.database))


def _hard(limit: OwnerLimits) -> OwnerLimits:
    """What holds even for an owner of whom a buyer has reported more than was held."""
    soft = {Measure.CONVERSIONS, Measure.REVENUE}
    caps = tuple(cap for cap in limit.caps if cap.measure not in soft)
    return OwnerLimits(limit.owner, limit.zone, limit.concurrency, caps)


def test_any_lives_in_any_order_keep_every_promise(
    dsn: str, request: pytest.FixtureRequest
) -> None:
    machine = type("Machine", (LifeMachine,), {"dsn": dsn})
    long = bool(request.config.getoption("--all-steps"))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=600 if long else 40,
            stateful_step_count=40 if long else 25,
            deadline=None,
            derandomize=not long,
            suppress_health_check=[HealthCheck.too_slow],
            report_multiple_bugs=False,
        ),
    )
