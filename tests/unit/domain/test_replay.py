"""A recorded call decided once more, and what other terms would have made of it."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.bidding import Quote
from auction.domain.call import Caller
from auction.domain.ids import OfferId
from auction.domain.plan import RoutedBy
from auction.domain.reasons import NoRouteReason, Reason
from auction.domain.replay import Line, Replayed, replay
from auction.domain.replay_auction import NO_ANSWER_RECORDED
from auction.domain.replay_record import Changes, Recorded
from auction.domain.replay_walk import ASSUMED
from auction.domain.scoring import Odds, Weight
from auction.domain.terms import AuctionTerms, Boost, BuyerType, OfferTerms, RankBy
from auction.domain.trace import Timings, Trace, TraceEntry
from tests.builders import CALLER, a_call, a_campaign, a_static_offer, an_offer, ping_post

ACME, BEACON, COBALT = OfferId("acme"), OfferId("beacon"), OfferId("cobalt")
BLOCKED = frozenset({CALLER.number or ""})

Heard = tuple[TraceEntry, Quote | None]
"""An offer's line of the trace, and its acceptance as it came."""


def a_bid(offer: str, bid: str, reason: Reason | None, ms: float = 20.0, **changes: Any) -> Heard:
    """A bid in the record, by its amount."""
    entry = TraceEntry(OfferId(offer), reason, bid=Decimal(bid), ms=ms, **changes)
    return entry, Quote(amount=bid)


def silent(offer: str, reason: Reason, ms: float | None = None, **changes: Any) -> Heard:
    """An offer that made no bid."""
    return TraceEntry(OfferId(offer), reason, ms=ms, **changes), None


def won(offer: str, bid: str = "52.00", ms: float = 20.0, rank: int = 1, **changes: Any) -> Heard:
    return a_bid(offer, bid, None, ms, rank=rank, **changes)


def outbid(offer: str, bid: str, rank: int, ms: float = 20.0, **changes: Any) -> Heard:
    return a_bid(offer, bid, Reason.OUTBID, ms, rank=rank, **changes)


def a_record(
    offers: Iterable[OfferTerms],
    *heard: Heard,
    campaign: dict[str, Any] | None = None,
    eligible_ms: float = 1.0,
    **changes: Any,
) -> Recorded:
    """What a decision among these offers left."""
    return Recorded(
        call=changes.pop("call", a_call()),
        campaign=a_campaign(*offers, **(campaign or {})),
        currency="USD",
        default_country="US",
        trace=Trace(1, Timings(eligible_ms=eligible_ms), tuple(entry for entry, _ in heard)),
        quotes={entry.offer: quote for entry, quote in heard if quote is not None},
        **changes,
    )


def two_bidders(**changes: Any) -> Recorded:
    """Acme won with 52.00 over Beacon's 48.00; Cobalt stood by."""
    return a_record(
        [an_offer("acme"), an_offer("beacon"), a_static_offer("cobalt")],
        won("acme"),
        outbid("beacon", "48.00", 2),
        silent("cobalt", Reason.STANDBY),
        **changes,
    )


def line_of(replayed: Replayed, offer: OfferId) -> Line:
    return next(line for line in replayed.lines if line.offer == offer)


def outcomes(replayed: Replayed) -> dict[str, str]:
    return {
        line.offer: "won" if line.again.reason is None else line.again.reason.outcome
        for line in replayed.lines
    }


def test_a_record_replays_to_the_same_ranking_winner_and_price() -> None:
    replayed = replay(two_bidders(price=Decimal(52)))
    assert replayed.same
    assert replayed.again.ranking == (ACME, BEACON)
    assert replayed.again.route == (ACME, RoutedBy.AUCTION, Decimal(52))
    assert replayed.price_difference == 0
    assert outcomes(replayed) == {"acme": "won", "beacon": "outbid", "cobalt": "standby"}


@pytest.mark.parametrize(
    ("tampered", "same_ranking", "same_winner"),
    [
        (two_bidders(price=Decimal(53)), True, False),
        (
            a_record(
                [an_offer("acme"), an_offer("beacon")],
                outbid("acme", "52.00", 2),
                won("beacon", "48.00"),
            ),
            False,
            False,
        ),
    ],
)
def test_a_record_that_does_not_follow_from_its_answers_is_told(
    tampered: Recorded, same_ranking: bool, same_winner: bool
) -> None:
    replayed = replay(tampered)
    assert not replayed.same
    assert replayed.same_ranking is same_ranking
    assert replayed.same_winner is same_winner


def test_a_higher_minimum_refuses_the_winner_and_the_next_is_assumed_to_accept() -> None:
    replayed = replay(two_bidders(), Changes(minimum_bids={ACME: Decimal("52.01")}))
    assert replayed.again.ranking == (BEACON,)
    assert replayed.again.route == (BEACON, RoutedBy.AUCTION, Decimal(48))
    assert replayed.price_difference == -4
    assert outcomes(replayed) == {"acme": "below_minimum", "beacon": "won", "cobalt": "standby"}
    assert line_of(replayed, BEACON).note == ASSUMED
    assert line_of(replayed, ACME).note is None


def test_a_lower_minimum_lets_a_refused_bid_in() -> None:
    offers = [an_offer("acme", ping_post=ping_post("60.00")), an_offer("beacon")]
    record = a_record(offers, a_bid("acme", "52.00", Reason.BELOW_MINIMUM), won("beacon", "48.00"))
    replayed = replay(record, Changes(minimum_bids={ACME: Decimal(0)}))
    assert replayed.again.ranking == (ACME, BEACON)
    assert replayed.again.offer == ACME
    assert line_of(replayed, ACME).note == ASSUMED


def test_a_disabled_winner_is_paused_and_the_call_goes_on() -> None:
    replayed = replay(two_bidders(), Changes(disabled=frozenset({ACME, BEACON})))
    assert replayed.again.route == (COBALT, RoutedBy.STATIC, Decimal(18))
    assert outcomes(replayed) == {"acme": "paused", "beacon": "paused", "cobalt": "won"}
    assert line_of(replayed, COBALT).again.static
    nobody = replay(two_bidders(), Changes(disabled=frozenset({ACME, BEACON, COBALT})))
    assert nobody.again.reason == NoRouteReason.NO_ELIGIBLE_OFFER
    assert nobody.price_difference == -52


def test_terms_count_as_changed_when_any_of_them_is() -> None:
    assert not Changes().any
    assert Changes(timeouts_ms={ACME: 5}).any
    assert Changes(disabled=frozenset({ACME})).any


def test_a_shorter_timeout_cuts_off_answers_that_took_longer() -> None:
    record = a_record(
        [an_offer("acme"), an_offer("beacon")],
        won("acme", ms=300.0),
        outbid("beacon", "48.00", 2, ms=200.0),
    )
    replayed = replay(record, Changes(timeouts_ms={ACME: 250}))
    assert outcomes(replayed) == {"acme": "timeout", "beacon": "won"}
    assert line_of(replayed, ACME).again.ms == 250
    assert replay(record, Changes(timeouts_ms={ACME: 300})).same


def test_a_longer_timeout_can_not_tell_what_was_never_recorded() -> None:
    record = a_record(
        [an_offer("acme"), an_offer("beacon")],
        silent("acme", Reason.TIMEOUT, 500.4),
        won("beacon", "48.00", ms=20.0),
    )
    replayed = replay(record, Changes(timeouts_ms={ACME: 900}))
    assert replayed.same
    assert line_of(replayed, ACME).note == NO_ANSWER_RECORDED
    assert line_of(replay(record), ACME).note is None
    shorter = replay(record, Changes(timeouts_ms={ACME: 400}))
    assert (line_of(shorter, ACME).again.ms, line_of(shorter, ACME).note) == (400, None)


def test_a_longer_timeout_makes_no_difference_where_the_budget_ended_the_pings() -> None:
    record = a_record(
        [an_offer("acme"), an_offer("beacon")],
        silent("acme", Reason.TIMEOUT, 185.2),
        won("beacon", "48.00"),
        call=a_call(timeout_ms=400),
    )
    assert line_of(replay(record, Changes(timeouts_ms={ACME: 900})), ACME).note is None


def test_with_no_useful_time_left_nobody_is_asked() -> None:
    record = a_record([an_offer("acme")], won("acme"))
    replayed = replay(record, Changes(timeouts_ms={ACME: 9}))
    assert outcomes(replayed) == {"acme": "budget_too_small"}
    assert replayed.again.reason == NoRouteReason.NO_BID_AND_NO_STATIC


def test_more_time_for_an_offer_that_was_not_asked_for_want_of_time_is_not_known() -> None:
    offers = [an_offer("acme", ping_post=ping_post(ping_timeout_ms=5))]
    record = a_record(offers, silent("acme", Reason.BUDGET_TOO_SMALL))
    assert line_of(replay(record), ACME).note is None
    longer = replay(record, Changes(timeouts_ms={ACME: 100}))
    assert line_of(longer, ACME).note == NO_ANSWER_RECORDED


CLOSED_EARLY = a_record(
    [
        an_offer("acme"),
        an_offer("beacon", ping_post=ping_post(maximum_bid=Decimal(50))),
        an_offer("cobalt", ping_post=ping_post(maximum_bid=Decimal(40))),
    ],
    won("acme", ms=30.0),
    silent("beacon", Reason.NOT_AWAITED, 30.1),
    silent("cobalt", Reason.NOT_AWAITED, 30.1),
)


def test_an_auction_that_nobody_could_still_win_ends_again_at_the_same_moment() -> None:
    replayed = replay(CLOSED_EARLY)
    assert replayed.same
    assert outcomes(replayed) == {"acme": "won", "beacon": "not_awaited", "cobalt": "not_awaited"}
    assert {line.note for line in replayed.lines} == {None}


def test_without_the_bid_that_closed_it_the_others_would_have_been_awaited() -> None:
    replayed = replay(CLOSED_EARLY, Changes(disabled=frozenset({ACME})))
    assert replayed.again.offer is None
    assert line_of(replayed, BEACON).note == NO_ANSWER_RECORDED
    cut = replay(CLOSED_EARLY, Changes(timeouts_ms={BEACON: 25}))
    assert (line_of(cut, BEACON).again.reason, line_of(cut, BEACON).note) == (Reason.TIMEOUT, None)


def test_an_earlier_end_leaves_later_answers_unheard() -> None:
    high = ping_post("55.00", maximum_bid=Decimal(60))
    record = a_record(
        [
            an_offer("acme", ping_post=high),
            an_offer("beacon", ping_post=ping_post(maximum_bid=Decimal(50))),
        ],
        a_bid("acme", "52.00", Reason.BELOW_MINIMUM, 10.0),
        won("beacon", "48.00", ms=200.0),
    )
    replayed = replay(record, Changes(minimum_bids={ACME: Decimal(30)}))
    assert outcomes(replayed) == {"acme": "won", "beacon": "not_awaited"}
    assert line_of(replayed, BEACON).again.ms == 10
    assert line_of(replayed, BEACON).note is None


def test_a_campaigns_closing_price_ends_the_auction() -> None:
    record = a_record(
        [an_offer("acme"), an_offer("beacon")],
        won("acme", ms=30.0),
        # In the same turn of the event loop: it counted.
        outbid("beacon", "48.00", 2, ms=30.02),
        campaign={"auction": AuctionTerms(close_at_bid=Decimal(50))},
    )
    assert replay(record).same


DOWN_THE_PLAN = a_record(
    [an_offer("acme"), an_offer("beacon"), an_offer("delta"), an_offer("echo")],
    a_bid("acme", "60.00", Reason.POST_REJECTED, rank=1, detail="full"),
    a_bid("beacon", "55.00", Reason.CAP_LOST, rank=2),
    a_bid("delta", "50.00", Reason.EXPIRED, rank=3),
    won("echo", "45.00", rank=4),
)
DELTA, ECHO = OfferId("delta"), OfferId("echo")


def test_what_became_of_each_place_stands() -> None:
    replayed = replay(DOWN_THE_PLAN)
    assert replayed.same
    assert outcomes(replayed) == {
        "acme": "post_rejected",
        "beacon": "cap_lost",
        "delta": "expired",
        "echo": "won",
    }
    assert line_of(replayed, ACME).again.detail == "full"


def test_a_bid_that_ran_out_while_another_was_posted_is_in_time_without_that_post() -> None:
    replayed = replay(DOWN_THE_PLAN, Changes(disabled=frozenset({ACME})))
    assert replayed.again.offer == DELTA
    assert line_of(replayed, DELTA).note == ASSUMED
    assert outcomes(replayed)["echo"] == "outbid"
    longer = replay(DOWN_THE_PLAN, Changes(disabled=frozenset({BEACON})))
    assert longer.again.offer == ECHO


def test_a_bid_behind_the_winner_that_had_run_out_stays_so() -> None:
    record = a_record(
        [an_offer("acme"), an_offer("beacon"), an_offer("delta")],
        won("acme"),
        a_bid("beacon", "48.00", Reason.EXPIRED, rank=2),
        a_bid("delta", "47.00", Reason.OUTBID, rank=3),
    )
    assert outcomes(replay(record)) == {"acme": "won", "beacon": "expired", "delta": "outbid"}


def test_an_offer_that_refused_its_post_is_not_routed_statically() -> None:
    record = a_record(
        [an_offer("acme", static_price="50.00"), a_static_offer("cobalt")],
        a_bid("acme", "52.00", Reason.POST_UNKNOWN, rank=1),
        (TraceEntry(COBALT, None, static=True), None),
    )
    assert replay(record).same
    # Below its minimum it is never posted to, and may well be routed at its fixed price.
    raised = replay(record, Changes(minimum_bids={ACME: Decimal(60)}))
    assert raised.again.route == (ACME, RoutedBy.STATIC, Decimal(50))


def test_a_bid_passed_over_by_a_decider_that_died_is_passed_over_again() -> None:
    record = a_record(
        [an_offer("acme"), an_offer("beacon", priority=2), a_static_offer("cobalt")],
        outbid("acme", "52.00", 1),
        won("beacon", "48.00", rank=2),
        silent("cobalt", Reason.STANDBY),
    )
    replayed = replay(record)
    assert replayed.same
    assert outcomes(replayed)["acme"] == "outbid"


def test_a_static_offer_passed_over_by_a_decider_that_died_is_passed_over_again() -> None:
    record = a_record(
        [a_static_offer("acme"), a_static_offer("cobalt", priority=2)],
        silent("acme", Reason.STANDBY),
        (TraceEntry(COBALT, None, static=True), None),
    )
    replayed = replay(record)
    assert replayed.same
    assert outcomes(replayed) == {"acme": "standby", "cobalt": "won"}


def test_static_offers_come_again_in_their_order_and_keep_what_refused_them() -> None:
    unbilled = an_offer("delta", buyer_type=BuyerType.QUALITY_ASSURANCE, ping_post=None, priority=3)
    record = a_record(
        [a_static_offer("acme"), a_static_offer("cobalt", priority=2), unbilled],
        silent("acme", Reason.CAP_REACHED, detail="when reserving"),
        (TraceEntry(COBALT, None, static=True), None),
        silent("delta", Reason.STANDBY),
    )
    replayed = replay(record)
    assert replayed.same
    assert replayed.recorded.price == Decimal(18)
    assert outcomes(replayed) == {"acme": "cap_reached", "cobalt": "won", "delta": "standby"}
    without = replay(record, Changes(disabled=frozenset({COBALT})))
    assert without.again.route == (DELTA, RoutedBy.STATIC, Decimal(0))


def test_an_offer_that_was_full_is_not_routed_statically_under_other_terms_either() -> None:
    record = a_record(
        [a_static_offer("acme"), a_static_offer("cobalt", priority=2)],
        (TraceEntry(ACME, None, static=True), None),
        silent("cobalt", Reason.CAP_REACHED),
    )
    assert replay(record, Changes(disabled=frozenset({ACME}))).again.offer is None


def test_a_pinged_offer_routed_statically_keeps_what_came_of_its_ping() -> None:
    record = a_record(
        [an_offer("acme", static_price="10.00")],
        silent("acme", Reason.TIMEOUT, 500.0, static=True),
    )
    replayed = replay(record)
    assert replayed.same
    assert line_of(replayed, ACME).again == line_of(replayed, ACME).recorded


def test_an_offer_that_could_not_be_pinged_and_was_routed_statically_is_so_again() -> None:
    record = a_record(
        [an_offer("acme", static_price="10.00")],
        (TraceEntry(ACME, None, static=True), None),
    )
    assert replay(record).same


def test_moments_that_can_not_be_told_again_stand_as_recorded() -> None:
    offers = [an_offer("acme"), an_offer("beacon"), an_offer("delta"), an_offer("echo")]
    record = a_record(
        offers,
        silent("acme", Reason.CAP_REACHED),
        silent("beacon", Reason.BREAKER_OPEN),
        silent("delta", Reason.NO_BID, 12.0),
        reason=NoRouteReason.NO_BID_AND_NO_STATIC,
    )
    replayed = replay(record, Changes(minimum_bids={ACME: Decimal(1)}))
    assert replayed.again == replayed.recorded
    assert outcomes(replayed) == {
        "acme": "cap_reached",
        "beacon": "breaker_open",
        "delta": "no_bid",
        "echo": "not_asked",
    }


def test_an_answer_whose_words_were_not_kept_stands_as_recorded() -> None:
    entry = TraceEntry(ACME, Reason.ERROR, "internal error", ms=9.0)
    assert outcomes(replay(a_record([an_offer("acme")], (entry, None)))) == {"acme": "error"}


def test_the_virtual_clock_follows_the_record() -> None:
    record = a_record([an_offer("acme")], won("acme"), eligible_ms=1990.0)
    # By the time the offers were known hardly anything of the two seconds was left.
    assert replay(record).same


def test_a_blocked_caller_is_blocked_again() -> None:
    record = a_record(
        [an_offer("acme"), an_offer("beacon", enabled=False), an_offer("delta")],
        silent("acme", Reason.SUPPRESSED, detail="caller is on the campaign's blocklist"),
        campaign={"caller_blocklist": BLOCKED},
        reason=NoRouteReason.CALLER_BLOCKED,
    )
    replayed = replay(record)
    assert replayed.same
    assert replayed.again.reason == NoRouteReason.CALLER_BLOCKED
    told = {"acme": "suppressed", "beacon": "paused", "delta": "suppressed"}
    assert outcomes(replayed) == told


def test_a_call_that_came_too_late_is_too_late_again() -> None:
    replayed = replay(a_record([an_offer("acme")], reason=NoRouteReason.TOO_LATE))
    assert replayed.again.reason == NoRouteReason.TOO_LATE
    assert outcomes(replayed) == {"acme": "not_asked"}


def test_a_caller_whose_number_was_rejected_is_rejected_again() -> None:
    replayed = replay(a_record([an_offer("acme")], reason=NoRouteReason.NUMBER_REJECTED))
    assert replayed.same
    assert replayed.again.reason == NoRouteReason.NUMBER_REJECTED


def test_scores_are_made_of_the_boosts_of_the_terms_and_the_odds_of_that_moment() -> None:
    boosted = an_offer("beacon", boosts=(Boost(Decimal("1.1")),))
    certain, even = Odds(*[Decimal(1)] * 3), Odds(Decimal(1), Decimal(1), Decimal("0.5"))
    by_revenue = {"auction": AuctionTerms(rank_by=RankBy.EXPECTED_REVENUE, boosted=True)}

    def replayed(odds: Odds) -> Replayed:
        return replay(
            a_record(
                [an_offer("acme"), boosted],
                won("acme", weight=Weight(Decimal(1), certain)),
                outbid("beacon", "48.00", 2, weight=Weight(Decimal(1), odds)),
                campaign=by_revenue,
                price=Decimal(52),
            )
        )

    assert replayed(even).again.ranking == (ACME, BEACON)
    assert replayed(certain).again.ranking == (BEACON, ACME)


def test_a_call_to_no_campaign_has_nothing_to_decide() -> None:
    record = replace(a_record([], (TraceEntry(ACME, None, static=True), None)), campaign=None)
    replayed = replay(record)
    assert (replayed.again.offer, replayed.again.reason) == (None, NoRouteReason.UNKNOWN_CAMPAIGN)
    assert (replayed.recorded.offer, replayed.recorded.price) == (ACME, None)


def test_an_offer_of_the_trace_that_the_campaign_has_not_is_told() -> None:
    record = a_record([an_offer("beacon")], won("acme"))
    replayed = replay(record)
    assert not replayed.same
    assert line_of(replayed, ACME).again.reason is Reason.NOT_ASKED


def test_a_withheld_caller_is_decided_like_any_other() -> None:
    call = a_call(caller=Caller())
    assert replay(two_bidders(call=call, campaign={"caller_blocklist": frozenset({"+1"})})).same


def test_nothing_but_the_offers_terms_is_changed() -> None:
    campaign = two_bidders().campaign
    assert campaign is not None
    assert Changes().of(campaign) == campaign
