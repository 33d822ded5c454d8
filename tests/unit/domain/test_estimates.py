"""The odds of revenue of certain histories."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from auction.domain.estimates import (
    HALF_LIFE,
    PRIOR_TRIALS,
    WINDOW,
    Results,
    SourceResults,
    estimate,
    standings,
)
from auction.domain.ids import CampaignId, OfferId, SourceId
from auction.domain.scoring import Odds
from tests.builders import NOON

A = CampaignId("a")
X, Y = OfferId("x"), OfferId("y")


def of(history: Sequence[Results], offer: OfferId) -> Odds:
    return estimate(history, NOON).offers[offer]


def test_what_lies_before_the_window_counts_for_nothing() -> None:
    old = Results(A, X, NOON - WINDOW - timedelta(seconds=1), 1000, 0, 1000, 1000, 1000)
    assert estimate([old], NOON) == estimate([], NOON)


def test_a_few_trials_move_a_chance_little() -> None:
    others = [Results(A, Y, NOON, accepted=900_000, refused=100_000)]
    one_refusal = of([*others, Results(A, X, NOON, refused=1)], X).accepted
    expected = Decimal("0.9") * Decimal(PRIOR_TRIALS) / Decimal(PRIOR_TRIALS + 1)
    assert abs(one_refusal - expected) < Decimal("0.0001")


def test_what_lies_a_half_life_back_counts_half() -> None:
    old = Results(A, X, NOON - HALF_LIFE, accepted=200, refused=400)
    new = replace(old, at=NOON, accepted=100, refused=200)
    assert of([old], X) == of([new], X)


def test_a_conversion_without_an_answer_is_no_more_than_certain() -> None:
    odds = of([Results(A, X, NOON, routed=1000, answered=0, converted=1000)], X)
    assert Decimal("0.99") < odds.converted <= 1


def test_without_any_history_everything_is_even() -> None:
    book = estimate([], NOON)
    assert (book.offers, book.campaigns) == ({}, {})
    assert book.otherwise == Odds(*[Decimal("0.5")] * 3)


def test_a_source_stands_by_how_its_calls_convert_beside_those_of_all() -> None:
    good, poor, new = SourceId("good"), SourceId("poor"), SourceId("new")
    told = standings(
        [
            SourceResults(good, NOON, answered=100_000, converted=45_000),
            SourceResults(poor, NOON, answered=100_000, converted=15_000),
            SourceResults(new, NOON, answered=0, converted=0),
        ],
        NOON,
    )
    assert told == {good: Decimal("0.50"), poor: Decimal("-0.50"), new: Decimal(0)}
