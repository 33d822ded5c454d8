"""One call through the engine: who is asked, who wins, what is written down."""

from decimal import Decimal

import pytest

from auction.domain.bidding import (
    NoBid,
    PingFault,
    PostAccepted,
    PostNotSent,
    PostRejected,
    PostUnknown,
    Quote,
)
from auction.domain.plan import RoutedBy
from auction.domain.reasons import Reason
from auction.domain.terms import AuctionTerms, Cap, Destination, Measure, OnUnknown, Period
from tests.builders import a_call, a_static_offer, an_offer, ping_post
from tests.unit.engine.harness import Answering, Marketplace, a_marketplace, pinged
from tests.virtual_time import run_virtually

ACME = an_offer("acme-auto")
BEACON = an_offer("beacon-auto", buyer="beacon")
COBALT = a_static_offer("cobalt-auto")


def bids(amount: object, *, after_ms: float = 20, **post: object) -> Answering:
    return Answering(Quote(amount=amount), after_ms, **post)  # type: ignore[arg-type] # keyword pass-through


def test_the_highest_bid_wins_and_the_other_is_outbid() -> None:
    marketplace = a_marketplace(
        ACME, BEACON, COBALT, script={"acme-auto": bids("40.00"), "beacon-auto": bids("41.00")}
    )
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["offer"], decision["price"]) == ("beacon-auto", "41.00")
    assert (decision["action"], decision["routed_by"]) == ("route", "auction")
    assert marketplace.outcomes(a_call()) == {
        "acme-auto": "outbid",
        "beacon-auto": "won",
        "cobalt-auto": "standby",
    }
    assert marketplace.trace(a_call())["acme-auto"]["rank"] == 2


def test_all_pings_leave_before_any_answer_comes() -> None:
    marketplace = a_marketplace(ACME, BEACON)
    decision = run_virtually(marketplace.decide(a_call()))
    assert pinged(marketplace) == ["acme-auto", "beacon-auto"]
    assert decision["elapsed_ms"] == pytest.approx(40, abs=1)


def test_bids_below_the_minimum_leave_the_call_to_the_static_offer() -> None:
    marketplace = a_marketplace(ACME, COBALT, script={"acme-auto": bids("29.99")})
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["offer"], decision["routed_by"]) == ("cobalt-auto", "static")
    assert decision["price"] == "18.00"
    assert marketplace.outcomes(a_call()) == {"acme-auto": "below_minimum", "cobalt-auto": "won"}
    assert marketplace.trace(a_call())["acme-auto"]["bid"] == "29.99"


def test_a_buyer_that_never_answers_costs_its_timeout_and_no_more() -> None:
    slow = an_offer("slow-auto", ping_post=ping_post(ping_timeout_ms=300))
    marketplace = a_marketplace(slow, BEACON, script={"slow-auto": Answering(None)})
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "beacon-auto"
    assert marketplace.outcomes(a_call())["slow-auto"] == "timeout"
    assert marketplace.gateway.abandoned == ["slow-auto"]
    assert decision["elapsed_ms"] == pytest.approx(320, abs=2)


def test_each_offer_times_out_by_its_own_limit() -> None:
    offers = [
        an_offer(f"slow-{limit}", ping_post=ping_post(ping_timeout_ms=limit))
        for limit in (100, 200, 300)
    ]
    script = {str(offer.id): Answering(None) for offer in offers}
    marketplace = a_marketplace(*offers, script=script)
    run_virtually(marketplace.decide(a_call()))
    times = {offer: entry["ms"] for offer, entry in marketplace.trace(a_call()).items()}
    assert times == pytest.approx({"slow-100": 100, "slow-200": 200, "slow-300": 300}, abs=1)


def test_the_deadline_of_the_switch_cuts_a_buyers_own_timeout() -> None:
    marketplace = a_marketplace(ACME, COBALT, script={"acme-auto": Answering(None)})
    decision = run_virtually(marketplace.decide(a_call(timeout_ms=500)))
    assert decision["offer"] == "cobalt-auto"
    # 500 less the reply's 30; half of it is kept for a post.
    assert decision["elapsed_ms"] == pytest.approx(235, abs=2)
    assert marketplace.gateway.pings[0].timeout_ms == 235


def test_an_offer_is_not_pinged_when_no_useful_time_is_left() -> None:
    marketplace = a_marketplace(ACME, COBALT)
    decision = run_virtually(marketplace.decide(a_call(timeout_ms=40)))
    assert decision["offer"] == "cobalt-auto"
    assert pinged(marketplace) == []
    assert marketplace.outcomes(a_call())["acme-auto"] == "budget_too_small"


def test_a_rejected_post_gives_the_reservation_back_and_the_next_bid_is_posted() -> None:
    marketplace = a_marketplace(
        an_offer("acme-auto", concurrency=1),
        BEACON,
        script={
            "acme-auto": bids("60.00", post=PostRejected("full")),
            "beacon-auto": bids("40.00"),
        },
    )
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "beacon-auto"
    assert marketplace.outcomes(a_call()) == {"acme-auto": "post_rejected", "beacon-auto": "won"}
    usage = marketplace.ledger.usage
    assert {owner: each.live for owner, each in usage.items() if each.live} == {
        "offer:beacon-auto": 1,
        "buyer:beacon": 1,
    }


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (PostRejected("no"), "post_rejected"),
        (PostUnknown("reset"), "post_unknown"),
        (PostNotSent("refused"), "post_error"),
    ],
)
def test_an_offer_whose_post_failed_is_not_routed_statically(reply: object, outcome: str) -> None:
    both = an_offer("acme-auto", static_price="10.00")
    marketplace = a_marketplace(both, script={"acme-auto": bids("60.00", post=reply)})
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["action"], decision["reason"]) == ("no_route", "no_bid_and_no_static")
    assert marketplace.outcomes(a_call()) == {"acme-auto": outcome}
    assert all(each.live == 0 for each in marketplace.ledger.usage.values())


def test_a_no_bid_is_a_no_to_the_static_price_as_well() -> None:
    both = an_offer("acme-auto", static_price="10.00")
    marketplace = a_marketplace(both, script={"acme-auto": Answering(NoBid("closed"))})
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["action"] == "no_route"
    assert marketplace.trace(a_call())["acme-auto"]["detail"] == "closed"


def test_an_offer_that_timed_out_may_be_routed_statically_and_keeps_its_outcome() -> None:
    both = an_offer("acme-auto", static_price="10.00")
    marketplace = a_marketplace(both, script={"acme-auto": Answering(None)})
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["offer"], decision["price"]) == ("acme-auto", "10.00")
    entry = marketplace.trace(a_call())["acme-auto"]
    assert (entry["outcome"], entry["static"]) == ("timeout", True)
    assert marketplace.gateway.posts == []


def test_a_post_without_an_answer_is_unknown_and_the_next_place_is_tried() -> None:
    marketplace = a_marketplace(ACME, COBALT, script={"acme-auto": bids("60.00", post=None)})
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "cobalt-auto"
    assert marketplace.outcomes(a_call())["acme-auto"] == "post_unknown"
    assert decision["elapsed_ms"] == pytest.approx(520, abs=2)


def test_a_post_without_an_answer_is_routed_all_the_same_where_the_offer_says_so() -> None:
    keen = an_offer("acme-auto", ping_post=ping_post(on_unknown=OnUnknown.ROUTE))
    marketplace = a_marketplace(keen, COBALT, script={"acme-auto": bids("60.00", post=None)})
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["offer"], decision["routed_by"]) == ("acme-auto", "auction")


def test_the_posts_destination_beats_the_bids_and_the_offers() -> None:
    accepted = PostAccepted("sip:desk-7@acme.example")
    quote = Quote(amount=52, destination="sip:bid@acme.example")
    marketplace = a_marketplace(ACME, script={"acme-auto": Answering(quote, post=accepted)})
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["destination"]["uri"] == "sip:desk-7@acme.example"
    assert decision["destination"]["dial_timeout_s"] == 20


def test_a_posts_destination_that_is_not_allowed_gives_way_to_the_offers_own() -> None:
    accepted = PostAccepted("tel:+442079460000")
    marketplace = a_marketplace(ACME, script={"acme-auto": bids("60.00", post=accepted)})
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["destination"]["uri"] == "sip:acme-auto@buyer.example"
    assert "not usable" in marketplace.trace(a_call())["acme-auto"]["detail"]


def test_a_bid_without_any_destination_is_invalid_and_never_posted() -> None:
    homeless = an_offer("acme-auto", destination=None)
    accepted = PostAccepted("sip:sales@acme.example")
    marketplace = a_marketplace(
        homeless, COBALT, script={"acme-auto": bids("60.00", post=accepted)}
    )
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "cobalt-auto"
    entry = marketplace.trace(a_call())["acme-auto"]
    assert (entry["outcome"], entry["detail"]) == ("invalid_bid", "destination")
    assert marketplace.gateway.posts == []


def test_one_gateway_crash_does_not_touch_another_offers_bid() -> None:
    marketplace = a_marketplace(
        ACME,
        BEACON,
        script={"acme-auto": Answering(PingFault(Reason.ERROR, "crash"), after_ms=1)},
    )
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "beacon-auto"
    assert marketplace.outcomes(a_call())["acme-auto"] == "error"


def test_the_auction_closes_early_at_the_campaigns_price() -> None:
    terms = AuctionTerms(close_at_bid=Decimal(50))
    marketplace = a_marketplace(
        ACME,
        BEACON,
        script={"beacon-auto": bids("90.00", after_ms=400)},
        campaign={"auction": terms},
    )
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "acme-auto"
    assert marketplace.outcomes(a_call())["beacon-auto"] == "not_awaited"
    assert decision["elapsed_ms"] == pytest.approx(40, abs=1)


def test_who_has_answered_does_not_keep_an_auction_open_however_high_it_could_have_bid() -> None:
    offers = [
        an_offer(f"{name}-auto", buyer=name, ping_post=ping_post(maximum_bid=Decimal(ceiling)))
        for name, ceiling in (("acme", 90), ("beacon", 80), ("delta", 60))
    ]
    script = {
        "acme-auto": bids("40.00", after_ms=10),
        "beacon-auto": bids("70.00", after_ms=20),
        "delta-auto": bids("59.00", after_ms=400),
    }
    marketplace = a_marketplace(*offers, script=script)
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "beacon-auto"
    assert marketplace.outcomes(a_call())["delta-auto"] == "not_awaited"


def test_the_auction_closes_early_when_nobody_still_out_can_beat_the_leader() -> None:
    capped = an_offer("beacon-auto", buyer="beacon", ping_post=ping_post(maximum_bid=Decimal(51)))
    script = {"beacon-auto": Answering(None)}
    marketplace = a_marketplace(ACME, capped, script=script)
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["elapsed_ms"] == pytest.approx(40, abs=1)
    assert marketplace.outcomes(a_call())["beacon-auto"] == "not_awaited"


def test_a_buyer_that_could_still_match_the_leader_is_waited_for() -> None:
    capped = an_offer("beacon-auto", buyer="beacon", ping_post=ping_post(maximum_bid=Decimal(52)))
    marketplace = a_marketplace(ACME, capped, script={"beacon-auto": Answering(None)})
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["elapsed_ms"] == pytest.approx(520, abs=2)


def test_a_bid_that_expires_while_others_are_awaited_is_not_posted() -> None:
    quick = Quote(amount="60.00", expires_in_s="0.1")
    marketplace = a_marketplace(
        ACME,
        BEACON,
        script={"acme-auto": Answering(quick), "beacon-auto": bids("40.00", after_ms=200)},
    )
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "beacon-auto"
    assert marketplace.outcomes(a_call())["acme-auto"] == "expired"


def test_capacity_that_went_between_ping_and_win_is_cap_lost() -> None:
    last_one = an_offer("acme-auto", caps=[Cap(Measure.CALLS, Period.DAY, 1)])
    marketplace = a_marketplace(last_one, COBALT)

    async def both() -> list[str]:
        import asyncio

        calls = [marketplace.decide(a_call(name)) for name in ("first", "second")]
        return [decision["offer"] for decision in await asyncio.gather(*calls)]

    assert sorted(run_virtually(both())) == ["acme-auto", "cobalt-auto"]
    outcomes = [marketplace.outcomes(a_call(name))["acme-auto"] for name in ("first", "second")]
    assert sorted(outcomes) == ["cap_lost", "won"]


def test_static_offers_are_tried_by_priority_until_one_has_room() -> None:
    full = a_static_offer("a-first", concurrency=0)
    second = a_static_offer("b-second", "12.00", priority=2)
    marketplace = a_marketplace(full, second)
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "b-second"
    assert marketplace.outcomes(a_call()) == {"a-first": "concurrency_full", "b-second": "won"}


def test_nobody_eligible_is_a_no_route_with_the_campaigns_own_destination() -> None:
    fallback = Destination("tel:+18005550199")
    marketplace = a_marketplace(
        an_offer(enabled=False), campaign={"no_route_destination": fallback}
    )
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["action"], decision["reason"]) == ("no_route", "no_eligible_offer")
    assert decision["destination"]["uri"] == "tel:+18005550199"
    assert decision["offer"] is None


def test_an_unknown_campaign_does_not_bind_the_retry() -> None:
    marketplace = a_marketplace(ACME)

    async def scenario() -> tuple[object, object]:
        unknown = a_call(dialed_number="+18005550999")
        first = await marketplace.decide(unknown, b"first")
        second = await marketplace.decide(a_call(), b"second")
        return first["reason"], second["offer"]

    assert run_virtually(scenario()) == ("unknown_campaign", "acme-auto")


def test_a_blocked_caller_gets_no_route_and_nobody_is_asked() -> None:
    marketplace = a_marketplace(ACME, campaign={"caller_blocklist": frozenset({"+13105551234"})})
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["action"], decision["reason"]) == ("no_route", "caller_blocked")
    assert pinged(marketplace) == []


def test_a_test_call_is_routed_and_uses_no_cap() -> None:
    marketplace = a_marketplace(an_offer("acme-auto", caps=[Cap(Measure.CALLS, Period.DAY, 1)]))

    async def twice() -> list[str]:
        return [
            (await marketplace.decide(a_call(name, test=True)))["offer"] for name in ("one", "two")
        ]

    assert run_virtually(twice()) == ["acme-auto", "acme-auto"]
    assert marketplace.ledger.usage == {}
    assert marketplace.recorder.decisions == []
    assert marketplace.recorder.routes == []
    assert len(marketplace.recorder.tests) == 2


def test_metrics_hear_of_every_ping_bid_post_and_decision() -> None:
    marketplace = a_marketplace(ACME, BEACON, script={"beacon-auto": Answering(NoBid())})
    run_virtually(marketplace.decide(a_call()))
    recorder = marketplace.recorder
    assert sorted(recorder.pings) == [("acme-auto", "bid"), ("beacon-auto", "no_bid")]
    assert recorder.bids == [("acme-auto", Decimal("52.00"))]
    assert recorder.posts == [("acme-auto", "accepted")]
    assert recorder.decisions == [("auto-insurance", RoutedBy.AUCTION)]
    assert recorder.routes == [("acme-auto", RoutedBy.AUCTION)]


def test_an_offer_without_a_post_endpoint_wins_by_its_bid_alone() -> None:
    direct = an_offer("acme-auto", ping_post=ping_post(posts=False, post_timeout_ms=0))
    marketplace = a_marketplace(direct)
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "acme-auto"
    assert marketplace.gateway.posts == []


def test_two_hundred_offers_each_end_with_one_outcome() -> None:
    offers = [an_offer(f"offer-{number:03}", buyer=f"b{number}") for number in range(200)]
    script = {
        f"offer-{number:03}": Answering(None) if number % 3 else bids(30 + number)
        for number in range(200)
    }
    marketplace: Marketplace = a_marketplace(*offers, script=script)
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "offer-198"
    outcomes = marketplace.outcomes(a_call())
    assert len(outcomes) == 200
    assert sum(1 for outcome in outcomes.values() if outcome == "timeout") == 133


def test_an_offer_that_could_not_be_asked_is_no_ping() -> None:
    unset = Answering(PingFault(Reason.NOT_ASKED, "secret TOKEN is not set", blames_buyer=False))
    marketplace = a_marketplace(ACME, COBALT, script={"acme-auto": unset})
    run_virtually(marketplace.decide(a_call()))
    assert marketplace.trace(a_call())["acme-auto"]["ms"] is None
    assert marketplace.recorder.pings == []


def test_a_hanging_post_leaves_the_time_to_go_on_to_the_static_offer() -> None:
    marketplace = a_marketplace(ACME, COBALT, script={"acme-auto": bids("60.00", post=None)})
    decision = run_virtually(marketplace.decide(a_call(timeout_ms=500)))
    assert decision["offer"] == "cobalt-auto"
    assert decision["elapsed_ms"] <= 470 - 50
