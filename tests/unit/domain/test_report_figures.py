from decimal import Decimal
from typing import Any, cast

from auction.domain.report_figures import (
    FigureClass,
    Figures,
    TracedOffer,
    count_call,
    count_offer,
)
from auction.domain.terms import BuyerType
from auction.domain.trace import ROUTED_UNANSWERED


def a_line(code: int | None = None, **changes: Any) -> TracedOffer:
    line = {"offer": "acme", "code": code, "detail": None, "bid": "52.00", "ms": 20.0, "rank": 1}
    return cast("TracedOffer", line | changes)


def unpinged(code: int | None, **changes: Any) -> TracedOffer:
    return a_line(code, **({"bid": None, "ms": None, "rank": None} | changes))


def counted(*lines: TracedOffer, attempt: int = 1) -> Figures:
    figures = Figures()
    for line in lines:
        count_offer((figures,), line, attempt)
    return figures


def test_every_ping_ends_in_one_column() -> None:
    codes = (None, 0, *range(100, 107), *range(301, 307), 401, 402, 403)
    figures = counted(*(a_line(code) for code in codes))
    assert (figures.pinged, figures.bids, figures.errors) == (18, 7, 5)
    assert figures.pinged == (
        figures.bids
        + figures.no_bids
        + figures.timeouts
        + figures.errors
        + figures.below_minimum
        + figures.invalid_bids
        + figures.not_awaited
    )
    assert figures.bid_total == 7 * Decimal(52)
    assert (figures.posts_rejected, figures.posts_unknown, figures.post_errors) == (1, 1, 1)
    assert figures.reasons == {code: 1 for code in codes if code is not None}


def test_a_valid_bid_that_there_is_no_time_for_is_a_bid() -> None:
    figures = counted(a_line(212))
    assert (figures.bids, figures.eligible) == (1, 1)


def test_an_unreadable_amount_is_a_ping_without_a_bid() -> None:
    figures = counted(a_line(305, bid=None))
    assert (figures.pinged, figures.bids) == (1, 0)


def test_who_could_take_the_call_is_eligible() -> None:
    figures = counted(*(unpinged(code) for code in (206, 207, 217, 1, 210, 211, 216, None)))
    assert figures.eligible == 5
    assert figures.pinged == 0


def test_a_win_without_an_answer_to_its_post_is_unknown() -> None:
    figures = counted(a_line(), a_line(detail=ROUTED_UNANSWERED))
    assert (figures.auction_wins, figures.posts_accepted, figures.posts_unknown) == (2, 1, 1)
    assert (figures.won, figures.posts) == (2, 2)


def test_a_static_win_is_no_post() -> None:
    figures = counted(unpinged(None, static=True), a_line(101, bid=None, rank=None, static=True))
    assert (figures.static_wins, figures.auction_wins, figures.posts, figures.timeouts) == (
        2,
        0,
        0,
        1,
    )


def test_a_later_attempt_counts_what_is_new_in_it() -> None:
    figures = counted(
        unpinged(502),
        unpinged(401),
        unpinged(305, bid="50.00", rank=2),
        unpinged(402, bid="51.00", rank=1),
        unpinged(None, bid="49.00", rank=3),
        a_line(101, bid=None, rank=None),
        attempt=2,
    )
    assert (figures.eligible, figures.pinged, figures.bids) == (0, 1, 0)
    assert (figures.posts_rejected, figures.posts_unknown, figures.posts_accepted) == (0, 1, 1)
    assert figures.reasons == {305: 1, 402: 1, 101: 1}


def test_whom_a_call_was_not_for_is_told_of_its_first_decision_alone() -> None:
    lines = (unpinged(206, rank=1), unpinged(215), unpinged(1))
    assert counted(*lines).reasons == {206: 1, 215: 1, 1: 1}
    assert counted(*lines).looked_at == 3
    assert counted(*lines, attempt=2).reasons == {}


def test_what_is_taken_out_again_leaves_nothing() -> None:
    figures = counted(a_line(), a_line(401), a_line(0, bid=None), unpinged(None, static=True))
    for line in (a_line(), a_line(401), a_line(0, bid=None), unpinged(None, static=True)):
        count_offer((figures,), line, 1, -1)
    assert not any(figures.reasons.values())
    assert not any(figures.bid_sizes.values())
    assert not any(figures.ping_times.values())
    figures.reasons.clear()
    figures.bid_sizes.clear()
    figures.ping_times.clear()
    assert figures == Figures()


def test_calls_without_a_route_are_told_apart() -> None:
    figures = Figures()
    count_call((figures,), [a_line(), a_line(305)])
    count_call((figures,), [a_line(0), unpinged(1, static=True)])
    count_call((figures,), [a_line(0)])
    count_call((figures,), [])
    assert (figures.calls, figures.unrouted) == (4, 2)


def test_figures_are_added_sum_by_sum_and_bin_by_bin() -> None:
    total = Figures(calls=1, revenue=Decimal("1.5"), reasons={0: 1})
    total.add(Figures(calls=2, revenue=Decimal(2), reasons={0: 2, 101: 1}))
    assert total == Figures(calls=3, revenue=Decimal("3.5"), reasons={0: 3, 101: 1})


def test_test_calls_are_apart_from_all_else() -> None:
    assert FigureClass.of(BuyerType.VOICE_BOT, test=True) is FigureClass.TEST
    assert FigureClass.of(BuyerType.VOICE_BOT, test=False) is FigureClass.VOICE_BOT
    assert FigureClass.of(BuyerType.QUALITY_ASSURANCE, test=False) is FigureClass.QUALITY_ASSURANCE
    assert FigureClass.of(BuyerType.BUYER, test=False) is FigureClass.SOLD
