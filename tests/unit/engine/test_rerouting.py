"""After an attempt failed: where a call goes next, and what is asked of whom."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.bidding import NoBid, PostRejected, PostUnknown, Quote
from auction.domain.hours import Hours, parse_weekly
from auction.domain.next_attempt import NoSuchAttempt, UnknownCall
from auction.domain.opening import OtherContent
from auction.domain.terms import Cap, Destination, Measure, Period
from tests.builders import CALLER, NEW_YORK, NOON, a_call, a_static_offer, an_offer
from tests.unit.engine.harness import Answering, Marketplace, a_marketplace, pinged
from tests.unit.engine.test_auction import bids
from tests.virtual_time import run_virtually

ACME = an_offer("acme-auto")
BEACON = an_offer("beacon-auto", buyer="beacon")
COBALT = a_static_offer("cobalt-auto")
DOVER = a_static_offer("dover-auto", priority=2)
HIGH_AND_LOW = {"acme-auto": bids("50.00"), "beacon-auto": bids("40.00")}


def three(**more: Any) -> Marketplace:
    return a_marketplace(ACME, BEACON, COBALT, DOVER, script=HIGH_AND_LOW, **more)


def places(answers: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    return [(each["attempt"], each["offer"], each["routed_by"], each["price"]) for each in answers]


async def played(marketplace: Marketplace, attempts: int) -> list[dict[str, Any]]:
    """A call of which every attempt fails."""
    first = await marketplace.decide(a_call())
    further = [await marketplace.reroute(a_call(), attempt) for attempt in range(1, attempts)]
    return [first, *further]


def test_failures_walk_the_standing_bids_then_static_offers_then_nobody() -> None:
    marketplace = three()
    answers = run_virtually(played(marketplace, 5))
    assert places(answers) == [
        (1, "acme-auto", "auction", "50.00"),
        (2, "beacon-auto", "auction", "40.00"),
        (3, "cobalt-auto", "static", "18.00"),
        (4, "dover-auto", "static", "18.00"),
        (5, None, None, None),
    ]
    assert answers[-1]["reason"] == "no_bid_and_no_static"
    assert pinged(marketplace) == ["acme-auto", "beacon-auto"], "no new auction"
    assert [post.offer.id for post in marketplace.gateway.posts] == ["acme-auto", "beacon-auto"]


def test_the_trace_of_an_attempt_names_every_offer_that_the_terms_do_not_tell_again() -> None:
    paused = an_offer("ember-auto", enabled=False)
    marketplace = a_marketplace(ACME, BEACON, COBALT, paused, script=HIGH_AND_LOW)
    run_virtually(played(marketplace, 2))
    assert marketplace.next_outcomes(a_call()) == {
        "acme-auto": "busy",
        "beacon-auto": "won",
        "cobalt-auto": "standby",
    }
    assert marketplace.next_trace(a_call())["beacon-auto"]["bid"] == "40.00"


def test_a_bid_that_has_expired_meanwhile_is_not_posted() -> None:
    script = {**HIGH_AND_LOW, "beacon-auto": Answering(Quote(amount="40.00", expires_in_s=5))}
    marketplace = a_marketplace(ACME, BEACON, COBALT, script=script)

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        await asyncio.sleep(6)
        return await marketplace.reroute(a_call())

    assert run_virtually(scenario())["offer"] == "cobalt-auto"
    assert marketplace.next_outcomes(a_call())["beacon-auto"] == "expired"
    assert len(marketplace.gateway.posts) == 1


def test_a_standing_bid_whose_post_is_refused_is_followed_by_the_next() -> None:
    script = {**HIGH_AND_LOW, "beacon-auto": bids("40.00", post=PostRejected("full"))}
    marketplace = a_marketplace(ACME, BEACON, COBALT, script=script)
    answers = run_virtually(played(marketplace, 3))
    assert [each["offer"] for each in answers] == ["acme-auto", "cobalt-auto", None]


@pytest.mark.parametrize("refusal", [PostRejected("full"), PostUnknown("silent")])
def test_who_refused_the_post_is_not_asked_again_even_at_a_fixed_price(refusal: Any) -> None:
    both = an_offer("acme-auto", static_price=Decimal(18))
    script = {**HIGH_AND_LOW, "acme-auto": bids("50.00", post=refusal)}
    marketplace = a_marketplace(both, BEACON, script=script, campaign={"reauction": True})
    answers = run_virtually(played(marketplace, 2))
    assert [each["offer"] for each in answers] == ["beacon-auto", None]
    assert marketplace.next_outcomes(a_call())["acme-auto"].startswith("post_")


def test_an_offer_that_did_not_bid_is_not_routed_statically_later() -> None:
    both = an_offer("acme-auto", static_price=Decimal(18))
    script = {**HIGH_AND_LOW, "acme-auto": Answering(NoBid())}
    marketplace = a_marketplace(both, BEACON, script=script)
    answers = run_virtually(played(marketplace, 2))
    assert [each["offer"] for each in answers] == ["beacon-auto", None]
    assert marketplace.next_outcomes(a_call()) == {"acme-auto": "no_bid", "beacon-auto": "busy"}


def test_a_reauction_asks_all_but_those_who_failed() -> None:
    script = {**HIGH_AND_LOW, "cheap-auto": Answering(NoBid())}
    cheap = an_offer("cheap-auto")
    marketplace = a_marketplace(ACME, BEACON, cheap, script=script, campaign={"reauction": True})

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        marketplace.gateway.script = {**script, "cheap-auto": bids("45.00")}
        return await marketplace.reroute(a_call())

    assert run_virtually(scenario())["offer"] == "cheap-auto"
    assert pinged(marketplace)[3:] == ["beacon-auto", "cheap-auto"]


def test_hours_are_asked_about_the_moment_of_the_failure() -> None:
    closing = Hours(NEW_YORK, parse_weekly({"mon-sun": ["08:00-12:01"]}), frozenset())
    late = an_offer("beacon-auto", buyer="beacon", hours=closing)
    marketplace = a_marketplace(ACME, late, COBALT, script=HIGH_AND_LOW)

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        await asyncio.sleep(65)
        return await marketplace.reroute(a_call())

    assert run_virtually(scenario())["offer"] == "cobalt-auto"
    assert marketplace.next_outcomes(a_call())["beacon-auto"] == "closed"


def test_caps_are_asked_about_the_hour_in_which_the_call_came() -> None:
    hourly = an_offer("beacon-auto", buyer="beacon", caps=[Cap(Measure.CALLS, Period.HOUR, 1)])
    marketplace = a_marketplace(ACME, hourly, COBALT, script=HIGH_AND_LOW)
    calls = [a_call(each, received_at=NOON - timedelta(seconds=1)) for each in ("one", "two")]

    async def scenario() -> list[dict[str, Any]]:
        for call in calls:
            await marketplace.decide(call)
        return [await marketplace.reroute(call) for call in calls]

    answers = run_virtually(scenario())
    assert [each["offer"] for each in answers] == ["beacon-auto", "cobalt-auto"]
    assert marketplace.next_trace(calls[1])["beacon-auto"]["detail"] == "calls per hour"


def test_an_offer_that_was_paused_meanwhile_gets_nothing() -> None:
    marketplace = three()

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        paused = replace(BEACON, enabled=False)
        marketplace.catalogue = a_marketplace(ACME, paused, COBALT).catalogue
        return await marketplace.reroute(a_call())

    assert run_virtually(scenario())["offer"] == "cobalt-auto"


def test_standing_bids_are_held_under_the_limits_in_force_now() -> None:
    marketplace = three()

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        full = an_offer("beacon-auto", buyer="beacon", concurrency=0)
        marketplace.catalogue = a_marketplace(ACME, full, COBALT).catalogue
        return await marketplace.reroute(a_call())

    assert run_virtually(scenario())["offer"] == "cobalt-auto"


def test_a_caller_who_was_blocked_meanwhile_gets_no_route() -> None:
    marketplace = three()

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        assert CALLER.number is not None
        blocked = {"caller_blocklist": frozenset({CALLER.number})}
        marketplace.catalogue = three(campaign=blocked).catalogue
        return await marketplace.reroute(a_call())

    assert run_virtually(scenario())["reason"] == "caller_blocked"


def test_the_switchs_own_timeout_bounds_the_next_decision() -> None:
    script = {**HIGH_AND_LOW, "beacon-auto": bids("40.00", post=None)}
    marketplace = a_marketplace(ACME, BEACON, COBALT, script=script)

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        return await marketplace.reroute(a_call(), timeout_ms=400)

    answer = run_virtually(scenario())
    assert answer["offer"] == "cobalt-auto"
    assert answer["elapsed_ms"] < 400


def test_a_repeat_gets_the_same_bytes_and_other_content_none() -> None:
    marketplace = three()

    async def scenario() -> None:
        await marketplace.decide(a_call())
        first = await marketplace.ask_next(a_call())
        assert await marketplace.ask_next(a_call()) == first
        other = await marketplace.ask_next(a_call(), fingerprint=b"other")
        assert isinstance(other, OtherContent)
        assert len(marketplace.gateway.posts) == 2

    run_virtually(scenario())


def test_requests_at_the_same_moment_join_one_decision() -> None:
    marketplace = three()

    async def scenario() -> list[Any]:
        await marketplace.decide(a_call())
        return list(await asyncio.gather(*[marketplace.ask_next(a_call()) for _ in range(5)]))

    assert len(set(run_virtually(scenario()))) == 1
    assert len(marketplace.gateway.posts) == 2


def test_unknown_calls_and_attempts_never_given_are_told_apart() -> None:
    marketplace = three()

    async def scenario() -> None:
        assert isinstance(await marketplace.ask_next(a_call()), UnknownCall)
        await marketplace.decide(a_call())
        assert isinstance(await marketplace.ask_next(a_call(), 2), NoSuchAttempt)

    run_virtually(scenario())


def test_after_a_conversion_there_is_no_further_attempt() -> None:
    home = Destination("sip:voicemail@switch.example")
    marketplace = three(campaign={"no_route_destination": home})

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        marketplace.ledger.converted.add(a_call().call_id)
        return await marketplace.reroute(a_call())

    answer = run_virtually(scenario())
    assert (answer["action"], answer["reason"]) == ("no_route", "already_converted")
    assert (answer["attempt"], answer["destination"]["uri"]) == (2, home.uri)
    assert len(marketplace.gateway.posts) == 1


def test_the_first_answer_stays_what_it_was() -> None:
    marketplace = three()

    async def scenario() -> tuple[dict[str, Any], dict[str, Any]]:
        first = await marketplace.decide(a_call())
        await marketplace.reroute(a_call())
        return first, await marketplace.decide(a_call())

    first, repeated = run_virtually(scenario())
    assert repeated == first


def test_a_campaign_that_is_gone_gives_no_route_that_binds_nobody() -> None:
    marketplace = three()

    async def scenario() -> tuple[dict[str, Any], dict[str, Any]]:
        await marketplace.decide(a_call())
        catalogue = marketplace.catalogue
        marketplace.catalogue = replace(catalogue, campaigns={})
        lost = await marketplace.reroute(a_call())
        marketplace.catalogue = catalogue
        return lost, await marketplace.reroute(a_call())

    lost, found = run_virtually(scenario())
    assert lost["reason"] == "unknown_campaign"
    assert found["offer"] == "beacon-auto"


def test_without_a_timeout_the_slowest_campaigns_budget_holds() -> None:
    marketplace = three()

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        return await marketplace.reroute(a_call(), timeout_ms=None)

    assert run_virtually(scenario())["offer"] == "beacon-auto"


def test_reroutes_are_counted_apart_from_calls() -> None:
    marketplace = three()
    run_virtually(played(marketplace, 2))
    assert len(marketplace.recorder.decisions) == 1
    assert len(marketplace.recorder.reroutes) == 1
    assert len(marketplace.recorder.routes) == 2


def test_an_offer_routed_statically_keeps_the_outcome_of_its_expired_bid() -> None:
    both = an_offer("beacon-auto", buyer="beacon", static_price=Decimal(5))
    script = {**HIGH_AND_LOW, "beacon-auto": Answering(Quote(amount="40.00", expires_in_s=5))}
    marketplace = a_marketplace(ACME, both, script=script)

    async def scenario() -> dict[str, Any]:
        await marketplace.decide(a_call())
        await asyncio.sleep(6)
        return await marketplace.reroute(a_call())

    assert run_virtually(scenario())["routed_by"] == "static"
    entry = marketplace.next_trace(a_call())["beacon-auto"]
    assert (entry["outcome"], entry["code"], entry["static"]) == ("expired", 304, True)


@pytest.mark.parametrize("timeout_ms", [1, 20, 40])
def test_a_switch_that_hardly_waits_still_gets_an_answer(timeout_ms: int) -> None:
    marketplace = three()

    async def scenario() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        hasty = await marketplace.decide(a_call("hasty", timeout_ms=timeout_ms))
        await marketplace.decide(a_call())
        repeated = await marketplace.decide(a_call(timeout_ms=timeout_ms))
        return hasty, repeated, await marketplace.reroute(a_call(), timeout_ms=timeout_ms)

    hasty, repeated, following = run_virtually(scenario())
    assert hasty["action"] in {"route", "no_route"}
    assert repeated["offer"] == "acme-auto"
    assert following["attempt"] == 2
