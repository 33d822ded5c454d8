"""One decision per call_id: repeats, waiting, late decisions, and takeovers."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from auction.domain.bidding import NoBid, PostUnknown, Quote
from auction.domain.finishing import Finish, FinishResult
from auction.domain.lifecycle import CallState
from auction.domain.opening import Opening, OpenResult, OtherContent
from auction.domain.reserving import ReserveRequest, ReserveResult
from auction.domain.terms import ConversionRule, OnUnknown, Trigger
from auction.engine.persistence import persist
from auction.ports import StorageUnavailableError
from storage.memory import MemoryLedger
from tests.builders import NOON, a_call, a_static_offer, an_offer, ping_post
from tests.unit.engine.harness import Answering, VirtualClock, a_marketplace, pinged
from tests.virtual_time import run_virtually


@dataclass(slots=True)
class SlowLedger:
    """A ledger whose steps take time, or never come back from one of them."""

    real: MemoryLedger
    open_ms: float = 0
    finish_ms: float = 0
    dies_after: str | None = None
    finishes_lost: int = 0
    opened: int = 0
    reserve_ms: float = 0
    stored: list[Finish] = field(default_factory=list)

    async def open(self, opening: Opening) -> OpenResult:
        self.opened += 1
        await asyncio.sleep(self.open_ms / 1000)
        return await self.real.open(opening)

    async def reserve(self, request: ReserveRequest) -> ReserveResult:
        result = await self.real.reserve(request)
        await asyncio.sleep(self.reserve_ms / 1000)
        if self.dies_after == "reserve":
            raise StorageUnavailableError("gone")
        return result

    async def finish(self, finish: Finish) -> FinishResult:
        await asyncio.sleep(self.finish_ms / 1000)
        if self.finishes_lost:
            self.finishes_lost -= 1
            raise StorageUnavailableError("gone for a moment")
        self.stored.append(finish)
        return await self.real.finish(finish)


def test_a_repeat_at_the_same_moment_joins_the_decision_under_way() -> None:
    marketplace = a_marketplace(an_offer())
    ledger = SlowLedger(marketplace.ledger)
    marketplace.use(ledger)

    async def twice() -> list[dict[str, object]]:
        repeats = [marketplace.decide(a_call()), marketplace.decide(a_call())]
        return list(await asyncio.gather(*repeats))

    first, second = run_virtually(twice())
    assert first == second
    assert len(pinged(marketplace)) == 1
    assert ledger.opened == 1


def test_a_later_repeat_gets_the_stored_answer_without_a_ping() -> None:
    marketplace = a_marketplace(an_offer())

    async def later() -> list[dict[str, object]]:
        return [await marketplace.decide(a_call()) for _ in range(2)]

    first, second = run_virtually(later())
    assert first == second
    assert len(pinged(marketplace)) == 1
    assert len(marketplace.gateway.posts) == 1


@pytest.mark.parametrize("together", [True, False])
def test_the_same_call_id_with_other_content_is_refused(together: bool) -> None:
    marketplace = a_marketplace(an_offer())

    async def scenario() -> object:
        first = asyncio.ensure_future(marketplace.decide(a_call(), b"one"))
        if not together:
            await first
        await asyncio.sleep(0)
        other = await marketplace.reception.decide(a_call(), b"two")
        await first
        return other

    assert run_virtually(scenario()) == OtherContent()


def test_a_database_slower_than_the_switch_waits_is_a_503_and_the_retry_gets_the_decision() -> None:
    marketplace = a_marketplace(an_offer())
    marketplace.use(SlowLedger(marketplace.ledger, finish_ms=3000))

    async def scenario() -> tuple[float, dict[str, object]]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call(timeout_ms=1000))
        waited = asyncio.get_running_loop().time()
        await marketplace.reception.drain()
        return waited, await marketplace.decide(a_call(timeout_ms=1000))

    waited, decision = run_virtually(scenario())
    assert waited == pytest.approx(0.99, abs=0.001)
    assert decision["offer"] == "acme-auto"
    assert len(pinged(marketplace)) == 1


def test_a_retry_takes_over_after_decide_by_and_never_pings_a_stored_plan_again() -> None:
    marketplace = a_marketplace(an_offer(), a_static_offer())
    marketplace.use(SlowLedger(marketplace.ledger, dies_after="reserve"))

    async def scenario() -> dict[str, object]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call())
        marketplace.use(marketplace.ledger)
        with pytest.raises(StorageUnavailableError):  # the dead decider's claim still runs
            await marketplace.decide(a_call(timeout_ms=200))
        await asyncio.sleep(3)
        return await marketplace.decide(a_call())

    decision = run_virtually(scenario())
    # The offer may have been posted by the process that died, so it is not posted a second time.
    assert decision["offer"] == "cobalt-auto"
    assert marketplace.outcomes(a_call())["acme-auto"] == "post_unknown"
    assert len(pinged(marketplace)) == 1
    assert marketplace.gateway.posts == []


def test_a_takeover_posts_again_under_the_same_post_id_where_posts_are_idempotent() -> None:
    marketplace = a_marketplace(an_offer(ping_post=ping_post(post_idempotent=True)))
    marketplace.use(SlowLedger(marketplace.ledger, dies_after="reserve"))

    async def scenario() -> dict[str, object]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call())
        stored = next(iter(marketplace.ledger._calls.values())).plan
        assert stored is not None
        marketplace.use(marketplace.ledger)
        await asyncio.sleep(3)
        decision = await marketplace.decide(a_call())
        assert marketplace.gateway.posts[-1].candidate.post_id == stored.candidates[0].post_id
        return decision

    assert run_virtually(scenario())["offer"] == "acme-auto"


def test_a_takeover_of_a_post_that_may_have_been_sent_routes_there_where_the_offer_says_so() -> (
    None
):
    marketplace = a_marketplace(an_offer(ping_post=ping_post(on_unknown=OnUnknown.ROUTE)))
    marketplace.use(SlowLedger(marketplace.ledger, dies_after="reserve"))

    async def scenario() -> dict[str, object]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call())
        marketplace.use(marketplace.ledger)
        await asyncio.sleep(3)
        return await marketplace.decide(a_call())

    assert run_virtually(scenario())["offer"] == "acme-auto"
    assert marketplace.gateway.posts == []


def test_an_answer_the_gateway_never_gives_does_not_hold_the_call() -> None:
    marketplace = a_marketplace(
        an_offer(), script={"acme-auto": Answering(Quote(amount=40), post=PostUnknown("late"))}
    )
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["action"] == "no_route"
    assert marketplace.reception.in_flight == 0


def test_a_decision_that_uses_all_its_time_is_still_answered_not_refused() -> None:
    marketplace = a_marketplace(
        an_offer(ping_post=ping_post(ping_timeout_ms=5000, post_timeout_ms=5000)),
        a_static_offer(),
        script={"acme-auto": Answering(Quote(amount=40), after_ms=100, post=None)},
    )
    marketplace.use(SlowLedger(marketplace.ledger, open_ms=3, finish_ms=10))
    decision = run_virtually(marketplace.decide(a_call(timeout_ms=1000)))
    assert decision["offer"] == "cobalt-auto"


def test_a_retry_that_joins_a_late_decision_fetches_it_from_the_ledger() -> None:
    slow = ping_post(post_timeout_ms=500)
    marketplace = a_marketplace(an_offer(ping_post=slow))
    ledger = SlowLedger(marketplace.ledger, open_ms=1500)
    marketplace.use(ledger)

    async def scenario() -> dict[str, object]:
        first = asyncio.ensure_future(marketplace.decide(a_call(timeout_ms=1000)))
        await asyncio.sleep(1.4)
        with pytest.raises(StorageUnavailableError):
            await first
        ledger.open_ms = 0
        return await marketplace.decide(a_call(timeout_ms=1000))

    decision = run_virtually(scenario())
    assert decision["offer"] == "acme-auto"
    assert ledger.opened == 2


def test_a_stall_of_the_database_never_turns_a_call_away_for_good() -> None:
    marketplace = a_marketplace(an_offer(), a_static_offer())
    ledger = SlowLedger(marketplace.ledger, open_ms=3000)
    marketplace.use(ledger)

    async def scenario() -> dict[str, object]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call(timeout_ms=1000))
        await marketplace.reception.drain()
        ledger.open_ms = 0
        return await marketplace.decide(a_call(timeout_ms=1000))

    decision = run_virtually(scenario())
    assert (decision["action"], decision["offer"]) == ("route", "acme-auto")


def test_a_finish_that_fails_for_a_moment_is_stored_and_nobody_else_is_posted() -> None:
    marketplace = a_marketplace(an_offer(), an_offer("beacon-auto", buyer="beacon"))
    marketplace.use(SlowLedger(marketplace.ledger, finishes_lost=3))
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["action"] == "route"
    assert len(marketplace.gateway.posts) == 1


def test_a_repeat_is_answered_while_other_content_is_being_refused() -> None:
    marketplace = a_marketplace(an_offer())

    async def scenario() -> tuple[object, object, object]:
        first = await marketplace.decide(a_call(), b"one")
        marketplace.use(SlowLedger(marketplace.ledger, open_ms=50))
        other = asyncio.ensure_future(marketplace.reception.decide(a_call(), b"two"))
        await asyncio.sleep(0.01)
        return first, await marketplace.decide(a_call(), b"one"), await other

    first, again, other = run_virtually(scenario())
    assert again == first
    assert other == OtherContent()


def test_a_takeover_whose_hold_was_swept_does_not_post_the_offer_twice() -> None:
    marketplace = a_marketplace(an_offer(), a_static_offer())
    marketplace.use(SlowLedger(marketplace.ledger, dies_after="reserve"))

    async def scenario() -> dict[str, object]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call())
        stored = next(iter(marketplace.ledger._calls.values()))
        plan = stored.plan
        marketplace.ledger._give_back(stored)
        stored.plan = plan  # the position stays known after a sweep
        marketplace.use(marketplace.ledger)
        await asyncio.sleep(3)
        return await marketplace.decide(a_call())

    assert run_virtually(scenario())["offer"] == "cobalt-auto"
    assert marketplace.outcomes(a_call())["acme-auto"] == "post_unknown"
    assert marketplace.gateway.posts == []


def stored_by(timeout_ms: int = 2000, **campaign: object) -> Finish:
    """What a decision for an offer dialled for 20 s stores."""
    marketplace = a_marketplace(an_offer(), campaign=campaign)
    ledger = SlowLedger(marketplace.ledger)
    marketplace.use(ledger)
    run_virtually(marketplace.decide(a_call(timeout_ms=timeout_ms)))
    return ledger.stored[-1]


def test_a_route_is_leased_for_its_dial_timeout_and_from_the_answer_for_the_longest_call() -> None:
    finish = stored_by(max_call_s=3600)
    assert (finish.late, finish.lease_ms) == (False, 80_000)
    assert (finish.answered_lease_ms, finish.collected_lease_ms) == (3_600_000, 80_000)


def test_a_switch_that_reports_no_answer_gets_the_longest_call_as_lease() -> None:
    finish = stored_by(max_call_s=3600, reports_answered=False)
    assert (finish.lease_ms, finish.collected_lease_ms) == (3_600_000, 3_600_000)


def test_a_late_route_is_leased_for_ten_seconds() -> None:
    marketplace = a_marketplace(an_offer())
    ledger = SlowLedger(marketplace.ledger, finishes_lost=30)
    marketplace.use(ledger)

    async def scenario() -> None:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call(timeout_ms=1000))
        await marketplace.reception.drain()

    run_virtually(scenario())
    finish = ledger.stored[-1]
    assert (finish.late, finish.binding, finish.lease_ms) == (True, True, 10_000)


def test_a_no_route_that_came_too_late_is_decided_anew_by_the_retry() -> None:
    marketplace = a_marketplace(an_offer(), script={"acme-auto": Answering(NoBid())})
    ledger = SlowLedger(marketplace.ledger, finishes_lost=30)
    marketplace.use(ledger)

    async def scenario() -> dict[str, object]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call(timeout_ms=1000))
        await marketplace.reception.drain()
        marketplace.gateway.script = {}
        return await marketplace.decide(a_call(timeout_ms=1000))

    assert run_virtually(scenario())["offer"] == "acme-auto"
    assert not ledger.stored[0].binding


def test_a_bid_is_sold_under_its_offers_own_conversion_rules() -> None:
    timer = (ConversionRule(Trigger.TIMER, connected_s=90),)
    marketplace = a_marketplace(an_offer(conversions=timer))
    ledger = SlowLedger(marketplace.ledger)
    marketplace.use(ledger)
    run_virtually(marketplace.decide(a_call()))
    candidate = ledger.stored[-1].candidate
    assert candidate is not None
    assert candidate.conversions == timer


def test_nobody_is_posted_when_reserving_has_used_up_the_time() -> None:
    marketplace = a_marketplace(an_offer())
    marketplace.use(SlowLedger(marketplace.ledger, reserve_ms=1500))

    async def scenario() -> None:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call(timeout_ms=1000))
        await marketplace.reception.drain()

    run_virtually(scenario())
    assert marketplace.gateway.posts == []
    assert marketplace.outcomes(a_call())["acme-auto"] == "budget_too_small"


def test_a_takeover_decides_by_the_calls_first_arrival() -> None:
    marketplace = a_marketplace(an_offer())
    marketplace.use(SlowLedger(marketplace.ledger, dies_after="reserve"))

    async def scenario() -> Finish:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call())
        ledger = SlowLedger(marketplace.ledger)
        marketplace.use(ledger)
        await asyncio.sleep(3)
        await marketplace.decide(a_call(received_at=NOON + timedelta(hours=1)))
        return ledger.stored[-1]

    assert run_virtually(scenario()).call.received_at == NOON


def test_a_step_is_given_up_when_its_time_is_over() -> None:
    tried_at: list[float] = []

    async def away() -> None:
        tried_at.append(asyncio.get_running_loop().time())
        raise StorageUnavailableError("away")

    async def scenario() -> None:
        with pytest.raises(StorageUnavailableError):
            await persist(away, VirtualClock(), 1.0)

    run_virtually(scenario())
    assert len(tried_at) > 10
    assert tried_at[-1] <= 1.0


def test_a_late_take_over_of_a_decider_that_may_have_posted_binds() -> None:
    marketplace = a_marketplace(an_offer())
    marketplace.use(SlowLedger(marketplace.ledger, dies_after="reserve"))

    async def scenario() -> dict[str, Any]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call(timeout_ms=1000))
        await asyncio.sleep(3)
        marketplace.use(SlowLedger(marketplace.ledger, open_ms=1200))
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call(timeout_ms=1000))
        await marketplace.reception.drain()
        marketplace.use(marketplace.ledger)
        return await marketplace.decide(a_call(timeout_ms=1000))

    assert run_virtually(scenario())["action"] == "no_route"
    assert marketplace.gateway.posts == []
    assert len(pinged(marketplace)) == 1


@dataclass
class DoubtfulLedger(SlowLedger):
    """Stores the first decision and does not say so."""

    doubts: int = 1

    async def finish(self, finish: Finish) -> FinishResult:
        result = await super().finish(finish)
        if self.doubts:
            self.doubts -= 1
            raise StorageUnavailableError("the commit is in doubt")
        return result


def test_a_decider_does_not_fetch_its_own_late_decision() -> None:
    marketplace = a_marketplace(a_static_offer())
    marketplace.use(DoubtfulLedger(marketplace.ledger, reserve_ms=1200))

    async def scenario() -> CallState:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call(timeout_ms=1000))
        await marketplace.reception.drain()
        return marketplace.ledger._calls[a_call().call_id].state

    assert run_virtually(scenario()) is CallState.LATE
