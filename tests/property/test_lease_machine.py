"""Whatever visitors do, however time passes and whoever calls: no number is two visitors' own."""

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from auction.domain.leases import Leased
from auction.domain.opening import Opened
from storage.database import Database
from storage.ledger import PostgresLedger
from storage.number_leases import NumberLeases
from tests.lease_steps import a_pool, a_visitor, end_call, pass_time
from tests.ledger_steps import VAULT, a_ledger, a_recent_call, an_opening

T = TypeVar("T")

NUMBERS = ("+18005550201", "+18005550202")
SESSIONS = st.sampled_from(["ann", "bob", "eve"])
POOL = a_pool(*NUMBERS)


class LeaseMachine(RuleBasedStateMachine):
    """Visitors and the numbers they were told. ``left``: seconds that a number stays theirs."""

    dsn: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.numbers: dict[str, str] = {}
        self.left: dict[str, int] = {}
        self.on_call: dict[str, str] = {}
        self.count = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.database = self.run(Database.connect(self.dsn, max_size=2))
        self.leases = NumberLeases(self.database, VAULT)
        self.ledger: PostgresLedger = a_ledger(self.database)
        self.run(self._forget_everything())

    async def _forget_everything(self) -> None:
        async with self.database.connection() as connection:
            await connection.execute("truncate number_leases, calls")

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.run(self.ledger.close())
            self.run(self.database.close())
        self.runner.close()

    def own(self, session: str) -> bool:
        """Whether the visitor may count on its number."""
        return self.left.get(session, 0) > 0

    @rule(session=SESSIONS)
    def lease(self, session: str) -> None:
        answer = self.run(self.leases.lease(POOL, a_visitor(session, who=session), {}))
        if isinstance(answer, Leased):
            if self.own(session):
                assert answer.number == self.numbers[session]
            self.numbers[session] = answer.number
            self.left[session] = 70
        else:
            assert not self.own(session)

    @rule(session=SESSIONS)
    def heartbeat(self, session: str) -> None:
        kept = self.run(self.leases.heartbeat(POOL, session))
        if self.own(session):
            assert kept is not None
            assert kept.number == self.numbers[session]
            self.left[session] = max(self.left[session], 40)

    @rule(session=SESSIONS)
    def give_back(self, session: str) -> None:
        given = self.run(self.leases.give_back(POOL, session))
        assert given or not self.own(session)
        self.left.pop(session, None)

    @rule(seconds=st.sampled_from([5, 62]))
    def pass_time(self, seconds: int) -> None:
        self.run(pass_time(self.database, seconds))
        self.left = {each: left - seconds for each, left in self.left.items()}

    @rule()
    def forget(self) -> None:
        self.run(self.leases.forget())

    @rule(number=st.sampled_from(NUMBERS))
    def call(self, number: str) -> None:
        self.count += 1
        call = a_recent_call(f"call-{self.count}", dialed_number=number, source=None, fields={})
        opened = self.run(self.ledger.open(an_opening(call, pool=POOL)))
        assert isinstance(opened, Opened)
        owner = next((s for s, each in self.numbers.items() if each == number and self.own(s)), "")
        if owner:
            assert opened.known_as is not None
            assert opened.known_as.fields == {"who": owner}
            self.on_call[call.call_id] = owner

    @rule()
    def end_a_call(self) -> None:
        """Its visitor, not heard of for a while, can no longer count on the number."""
        if self.on_call:
            call_id, owner = self.on_call.popitem()
            self.run(end_call(self.database, call_id))
            if owner not in self.on_call.values():
                self.left[owner] = min(self.left.get(owner, 0), 10)

    @invariant()
    def nobody_shares_a_number(self) -> None:
        held = [self.numbers[session] for session in self.numbers if self.own(session)]
        assert len(held) == len(set(held))


def test_a_number_is_never_lent_to_two_visitors_whatever_happens(
    dsn: str, request: pytest.FixtureRequest
) -> None:
    machine = type("Machine", (LeaseMachine,), {"dsn": dsn})
    long = bool(request.config.getoption("--all-steps"))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=300 if long else 60,
            stateful_step_count=30,
            deadline=None,
            derandomize=not long,
            suppress_health_check=[HealthCheck.too_slow],
            report_multiple_bugs=False,
        ),
    )
