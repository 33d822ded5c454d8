"""Offers that are spared their pings: by their breaker, by their rate, or by neither in shadow."""

import asyncio
from decimal import Decimal

import pytest

from auction.domain.bidding import NoBid, PingFault, PostRejected, Quote
from auction.domain.ping_rate import PingRateTerms
from auction.domain.reasons import Reason
from auction.domain.terms import AuctionTerms, OfferTerms, PingPostTerms
from tests.builders import a_call, a_static_offer, an_offer, ping_post
from tests.guard_steps import breaker_terms
from tests.unit.engine.harness import Answering, Marketplace, a_marketplace, pinged
from tests.virtual_time import VirtualTimeLoop, run_virtually

COBALT = a_static_offer("cobalt-auto")
HANGS = Answering(None)


def broken(**changes: int) -> PingPostTerms:
    """Terms with a breaker that three failures open."""
    return ping_post(breaker=breaker_terms(minimum_pings=3, minimum_posts=3, **changes))


def guarded(*, static_price: str | None = None, **changes: int) -> OfferTerms:
    return an_offer("acme-auto", ping_post=broken(**changes), static_price=static_price)


def decided(marketplace: Marketplace, calls: int, *, timeout_ms: int = 2000) -> list[str]:
    """The outcome of acme-auto in each of these calls, one after the other."""

    async def one_by_one() -> list[str]:
        outcomes = []
        for number in range(calls):
            call = a_call(f"call-{number}", timeout_ms=timeout_ms)
            await marketplace.decide(call)
            outcomes.append(marketplace.outcomes(call)["acme-auto"])
        return outcomes

    return run_virtually(one_by_one())


def test_a_buyer_that_times_out_is_left_alone_and_the_trace_says_why() -> None:
    marketplace = a_marketplace(guarded(), COBALT, script={"acme-auto": HANGS})
    assert decided(marketplace, 5) == [*["timeout"] * 3, *["breaker_open"] * 2]
    assert len(pinged(marketplace)) == 3
    entry = marketplace.trace(a_call("call-4"))["acme-auto"]
    assert (entry["code"], entry["detail"]) == (210, "open: 3 of 3 pings timed out")
    assert entry["ms"] is None
    assert ("acme-auto", "breaker_open") in marketplace.recorder.pings


@pytest.mark.parametrize("reason", [Reason.MALFORMED_REPLY, Reason.BAD_STATUS, Reason.UNREACHABLE])
def test_unreadable_answers_open_the_breaker(reason: Reason) -> None:
    faulty = Answering(PingFault(reason))
    marketplace = a_marketplace(guarded(), COBALT, script={"acme-auto": faulty})
    assert decided(marketplace, 4)[-1] == "breaker_open"


@pytest.mark.parametrize(
    "answering",
    [
        Answering(NoBid()),
        Answering(Quote(amount="0.01")),
        Answering(Quote(amount="NaN")),
        Answering(PingFault(Reason.OUTBOUND_LIMIT, blames_buyer=False)),
        Answering(PingFault(Reason.ERROR, "internal error", blames_buyer=False)),
    ],
)
def test_what_is_no_failure_of_the_buyer_never_opens_it(answering: Answering) -> None:
    marketplace = a_marketplace(guarded(), COBALT, script={"acme-auto": answering})
    assert "breaker_open" not in decided(marketplace, 10)


def test_a_judge_that_crashes_is_not_the_buyers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("auction.engine.bidding_round.judge", crash)
    marketplace = a_marketplace(guarded(), COBALT)
    assert decided(marketplace, 10) == ["error"] * 10


def test_a_buyer_that_an_early_close_did_not_wait_for_is_not_blamed() -> None:
    marketplace = a_marketplace(
        guarded(),
        an_offer("beacon-auto", buyer="beacon"),
        script={"acme-auto": HANGS},
        campaign={"auction": AuctionTerms(close_at_bid=Decimal(50))},
    )
    assert decided(marketplace, 10) == ["not_awaited"] * 10


def test_a_timeout_that_a_lagging_loop_notices_late_is_not_blamed() -> None:
    marketplace = a_marketplace(guarded(), COBALT, script={"acme-auto": HANGS})

    async def scenario() -> list[str]:
        outcomes = []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        for number in range(10):
            call = a_call(f"call-{number}")
            waiting = asyncio.create_task(marketplace.decide(call))
            await asyncio.sleep(0.45)
            loop._jumping.now += 0.13
            await waiting
            outcomes.append(marketplace.outcomes(call)["acme-auto"])
        return outcomes

    assert run_virtually(scenario()) == ["timeout"] * 10


def test_a_timeout_that_the_switch_cut_short_is_not_blamed() -> None:
    marketplace = a_marketplace(guarded(), COBALT, script={"acme-auto": HANGS})
    assert decided(marketplace, 10, timeout_ms=500) == ["timeout"] * 10


def test_refused_posts_open_the_breaker() -> None:
    refusing = Answering(Quote(amount="60.00"), post=PostRejected("full"))
    marketplace = a_marketplace(guarded(), COBALT, script={"acme-auto": refusing})
    assert decided(marketplace, 5) == [*["post_rejected"] * 3, *["breaker_open"] * 2]
    detail = marketplace.trace(a_call("call-4"))["acme-auto"]["detail"]
    assert detail == "open: 3 of 3 posts were refused"


def test_after_its_time_probes_find_a_buyer_that_is_well_again() -> None:
    marketplace = a_marketplace(guarded(), COBALT, script={"acme-auto": HANGS})

    async def scenario() -> list[str]:
        outcomes = []
        for number in range(4):
            await marketplace.decide(a_call(f"call-{number}"))
        marketplace.gateway.script = {}
        await asyncio.sleep(30)
        for number in range(10, 14):
            await marketplace.decide(a_call(f"call-{number}"))
            outcomes.append(marketplace.outcomes(a_call(f"call-{number}"))["acme-auto"])
        return outcomes

    assert run_virtually(scenario()) == ["won"] * 4


def test_a_decision_that_is_cancelled_gives_its_probe_back() -> None:
    marketplace = a_marketplace(guarded(probes=1), COBALT, script={"acme-auto": HANGS})

    async def scenario() -> str:
        for number in range(3):
            await marketplace.decide(a_call(f"call-{number}"))
        await asyncio.sleep(30)
        waiting = asyncio.create_task(marketplace.decide(a_call("call-10")))
        await asyncio.sleep(0.01)
        for flight in marketplace.reception._flights._tasks.values():
            flight.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        marketplace.gateway.script = {}
        await marketplace.decide(a_call("call-11"))
        return str(marketplace.outcomes(a_call("call-11"))["acme-auto"])

    assert run_virtually(scenario()) == "won"


def test_an_offer_left_alone_may_be_routed_statically() -> None:
    both = guarded(static_price="10.00")
    marketplace = a_marketplace(both, script={"acme-auto": HANGS})
    assert decided(marketplace, 4)[-1] == "won"
    entry = marketplace.trace(a_call("call-3"))["acme-auto"]
    assert entry["static"] is True
    assert entry["detail"] == "not pinged: breaker_open, open: 3 of 3 pings timed out"


def test_without_a_static_offer_the_call_has_no_bid() -> None:
    marketplace = a_marketplace(guarded(), script={"acme-auto": HANGS})
    decided(marketplace, 3)
    decision = run_virtually(marketplace.decide(a_call("call-9")))
    assert (decision["action"], decision["reason"]) == ("no_route", "no_bid_and_no_static")


def test_an_offer_gets_no_more_pings_than_its_rate() -> None:
    slow = an_offer("acme-auto", ping_post=ping_post(ping_rate=PingRateTerms(0.5)))
    marketplace = a_marketplace(slow, COBALT, script={"acme-auto": Answering(NoBid())})

    async def scenario() -> list[str]:
        outcomes = []
        for number in range(5):
            call = a_call(f"call-{number}")
            await marketplace.decide(call)
            outcomes.append(marketplace.outcomes(call)["acme-auto"])
            await asyncio.sleep(1)
        return outcomes

    assert run_virtually(scenario()) == ["no_bid", "throttled", "no_bid", "throttled", "no_bid"]
    entry = marketplace.trace(a_call("call-1"))["acme-auto"]
    assert (entry["code"], entry["detail"]) == (211, "the limit is 0.5 per second")


def test_what_the_rate_holds_back_uses_up_no_probe_and_the_other_way_round() -> None:
    terms = ping_post(breaker=breaker_terms(minimum_pings=2), ping_rate=PingRateTerms(3))
    marketplace = a_marketplace(
        an_offer("acme-auto", ping_post=terms), COBALT, script={"acme-auto": HANGS}
    )

    async def scenario() -> list[str]:
        for number in range(2):
            await marketplace.decide(a_call(f"call-{number}"))
        held = [a_call(f"held-{number}") for number in range(5)]
        for call in held:
            await marketplace.decide(call)
        await asyncio.sleep(30)
        calls = [a_call(f"call-{number}") for number in range(10, 15)]
        await asyncio.gather(*(marketplace.decide(call) for call in calls))
        return [marketplace.outcomes(call)["acme-auto"] for call in (*held, *calls)]

    outcomes = run_virtually(scenario())
    assert outcomes[:5] == ["breaker_open"] * 5
    assert outcomes[5:] == [*["timeout"] * 3, *["throttled"] * 2]


def test_a_breaker_in_shadow_counts_and_does_not_act() -> None:
    marketplace = a_marketplace(guarded(shadow=True), COBALT, script={"acme-auto": HANGS})
    assert decided(marketplace, 5) == ["timeout"] * 5
    assert marketplace.recorder.shadows == [("acme-auto", "breaker_open")] * 2
    traces = [marketplace.trace(a_call(f"call-{number}")) for number in range(5)]
    shadow = "breaker_open, open: 3 of 3 pings timed out"
    assert [each["acme-auto"].get("shadow") for each in traces] == [*[None] * 3, *[shadow] * 2]


def test_a_rate_in_shadow_counts_and_does_not_act() -> None:
    shadow = ping_post(ping_rate=PingRateTerms(0.5, shadow=True))
    marketplace = a_marketplace(an_offer("acme-auto", ping_post=shadow))
    assert decided(marketplace, 2) == ["won"] * 2
    assert marketplace.recorder.shadows == [("acme-auto", "throttled")]


def test_one_offers_breaker_is_not_anothers() -> None:
    other = an_offer("beacon-auto", buyer="beacon", ping_post=broken())
    marketplace = a_marketplace(guarded(), other, script={"acme-auto": HANGS})
    assert decided(marketplace, 4)[-1] == "breaker_open"
    assert marketplace.outcomes(a_call("call-3"))["beacon-auto"] == "won"
