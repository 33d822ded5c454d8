"""What becomes of calls when there is too much to do."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from auction.domain.ids import offer_owner
from auction.domain.overload import LoadLevel
from auction.engine import answered
from auction.engine.answered import RecentAnswers
from auction.ports import OverloadedError, StorageUnavailableError
from tests.builders import a_call, a_static_offer, an_offer
from tests.unit.engine.harness import Marketplace, a_marketplace, pinged
from tests.unit.engine.test_reception import SlowLedger
from tests.virtual_time import run_virtually

ACME = an_offer("acme-auto")
BOTH = an_offer("beacon-auto", buyer="beacon", static_price="10.00", priority=2)
COBALT = a_static_offer("cobalt-auto")


@dataclass
class Loaded:
    """A load that a test sets."""

    now: LoadLevel = LoadLevel.NORMAL

    def level(self) -> LoadLevel:
        return self.now


def loaded(*offers: Any, level: LoadLevel, **more: Any) -> tuple[Marketplace, Loaded]:
    load = Loaded(level)
    return a_marketplace(*offers, load=load, **more), load


def test_a_hurried_call_goes_to_the_static_offer_without_any_ping() -> None:
    marketplace, _ = loaded(ACME, BOTH, COBALT, level=LoadLevel.STATIC_ONLY)
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["offer"], decision["routed_by"]) == ("cobalt-auto", "static")
    assert pinged(marketplace) == []
    assert marketplace.outcomes(a_call()) == {
        "acme-auto": "overloaded",
        "beacon-auto": "overloaded",
        "cobalt-auto": "won",
    }
    assert marketplace.trace(a_call())["acme-auto"]["code"] == 216
    assert marketplace.recorder.overloads == [LoadLevel.STATIC_ONLY]
    assert marketplace.ledger.usage[offer_owner(COBALT.id)].live == 1


def test_a_hurried_call_may_go_to_a_bidder_at_its_static_price() -> None:
    marketplace, _ = loaded(ACME, BOTH, level=LoadLevel.STATIC_ONLY)
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["offer"], decision["price"]) == ("beacon-auto", "10.00")
    entry = marketplace.trace(a_call())["beacon-auto"]
    assert (entry["outcome"], entry["detail"]) == ("won", "not pinged: overloaded")


def test_a_call_that_only_an_auction_can_sell_gets_it_all_the_same() -> None:
    marketplace, _ = loaded(ACME, level=LoadLevel.STATIC_ONLY)
    assert run_virtually(marketplace.decide(a_call()))["routed_by"] == "auction"
    assert marketplace.recorder.overloads == []


def test_a_static_place_that_is_gone_when_reserving_leaves_the_next_one() -> None:
    full = a_static_offer("amber-auto", buyer="amber", concurrency=1)
    marketplace, _ = loaded(ACME, full, COBALT, level=LoadLevel.STATIC_ONLY)

    async def scenario() -> list[str]:
        calls = [a_call(f"call-{number}") for number in range(2)]
        return sorted([(await marketplace.decide(call))["offer"] for call in calls])

    assert run_virtually(scenario()) == ["amber-auto", "cobalt-auto"]


def test_a_refused_call_is_not_opened_and_its_retry_may_say_something_else() -> None:
    marketplace, load = loaded(ACME, COBALT, level=LoadLevel.REFUSE)

    async def scenario() -> dict[str, Any]:
        with pytest.raises(OverloadedError):
            await marketplace.decide(a_call(), b"one content")
        assert marketplace.ledger._calls == {}
        load.now = LoadLevel.NORMAL
        return await marketplace.decide(a_call(), b"other content")

    assert run_virtually(scenario())["offer"] == "acme-auto"
    assert marketplace.recorder.overloads == [LoadLevel.REFUSE]


def test_a_retry_joins_the_decision_under_way_though_new_calls_are_refused() -> None:
    marketplace, load = loaded(ACME, level=LoadLevel.NORMAL)

    async def scenario() -> list[bytes | object]:
        first = asyncio.create_task(marketplace.reception.decide(a_call(), b"same"))
        await asyncio.sleep(0.01)
        load.now = LoadLevel.REFUSE
        return [await marketplace.reception.decide(a_call(), b"same"), await first]

    answers = run_virtually(scenario())
    assert answers[0] == answers[1]


def test_a_retry_of_a_decided_call_is_answered_though_new_calls_are_refused() -> None:
    marketplace, load = loaded(ACME, level=LoadLevel.NORMAL)

    async def scenario() -> list[bytes | object]:
        first = await marketplace.reception.decide(a_call(), b"same")
        load.now = LoadLevel.REFUSE
        with pytest.raises(OverloadedError):
            await marketplace.reception.decide(a_call(), b"other")
        return [first, await marketplace.reception.decide(a_call(), b"same")]

    answers = run_virtually(scenario())
    assert answers[0] == answers[1]


def test_an_answer_that_binds_nobody_is_not_kept_for_retries() -> None:
    marketplace, load = loaded(ACME, level=LoadLevel.NORMAL)
    call = a_call(dialed_number="+18005559999")

    async def scenario() -> None:
        assert (await marketplace.decide(call))["reason"] == "unknown_campaign"
        load.now = LoadLevel.REFUSE
        with pytest.raises(OverloadedError):
            await marketplace.decide(call)

    run_virtually(scenario())


def test_a_late_route_is_not_kept_for_retries_since_they_have_to_fetch_it() -> None:
    marketplace, load = loaded(ACME, COBALT, level=LoadLevel.NORMAL)
    marketplace.use(SlowLedger(marketplace.ledger, reserve_ms=3_000))

    async def scenario() -> dict[str, Any]:
        with pytest.raises(StorageUnavailableError):
            await marketplace.decide(a_call())
        await marketplace.reception.drain()
        load.now = LoadLevel.REFUSE
        with pytest.raises(OverloadedError):
            await marketplace.decide(a_call())
        load.now = LoadLevel.NORMAL
        return await marketplace.decide(a_call())

    assert run_virtually(scenario())["offer"] == "cobalt-auto"


def test_who_has_waited_for_a_late_route_fetches_it_though_new_calls_are_refused() -> None:
    marketplace, load = loaded(ACME, COBALT, level=LoadLevel.NORMAL)
    marketplace.use(SlowLedger(marketplace.ledger, reserve_ms=3_000))

    async def scenario() -> bytes | object:
        first = asyncio.create_task(marketplace.reception.decide(a_call(), b"same"))
        await asyncio.sleep(0.01)
        patient = asyncio.create_task(
            marketplace.reception.decide(a_call(timeout_ms=20_000), b"same")
        )
        await asyncio.sleep(0.01)
        load.now = LoadLevel.REFUSE
        with pytest.raises(StorageUnavailableError):
            await first
        return await patient

    answer = run_virtually(scenario())
    assert isinstance(answer, bytes)
    assert b"cobalt-auto" in answer


def test_the_answers_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answered, "MOST_ANSWERS", 2)
    recent = RecentAnswers()
    ids = [a_call(f"call-{number}").call_id for number in range(3)]
    for call_id in ids:
        recent.keep(call_id, b"", call_id.encode())
    assert [recent.find(call_id, b"") for call_id in ids] == [None, b"call-1", b"call-2"]


@pytest.mark.parametrize("level", [LoadLevel.STATIC_ONLY, LoadLevel.REFUSE])
def test_what_follows_a_failed_attempt_is_never_refused_but_asks_nobody(level: LoadLevel) -> None:
    marketplace, load = loaded(
        ACME, BOTH, COBALT, level=LoadLevel.NORMAL, campaign={"reauction": True}
    )

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        marketplace.gateway.pings.clear()
        load.now = level
        return await marketplace.reroute(a_call())

    decision = run_virtually(scenario())
    assert (decision["action"], decision["routed_by"]) == ("route", "static")
    assert pinged(marketplace) == []
