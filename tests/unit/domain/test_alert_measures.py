"""What rules read of what happened."""

from dataclasses import replace
from datetime import timedelta

import pytest

from auction.domain.alert_measures import could_take_calls, reading
from auction.domain.alert_terms import AlertMeasure, Comparison, Condition
from auction.domain.hours import Hours, parse_weekly
from auction.domain.log_bins import bin_of
from auction.domain.report_figures import Figures
from tests.alert_steps import a_condition
from tests.builders import NEW_YORK, NOON, an_offer

NOTHING = Figures()
FIGURES = Figures(
    calls=50,
    pinged=40,
    bids=10,
    timeouts=8,
    errors=4,
    posts_accepted=4,
    posts_rejected=1,
    auction_wins=12,
    static_wins=8,
    answered=15,
    converted=5,
    ping_times={bin_of(10_000): 90, bin_of(200_000): 8, bin_of(900_000): 2},
)


def reads(measure: AlertMeasure, **changes: object) -> Condition:
    return a_condition(measure=measure, **changes)


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        (AlertMeasure.TIMEOUT_RATE, 0.2),
        (AlertMeasure.ERROR_RATE, 0.1),
        (AlertMeasure.BID_RATE, 0.25),
        (AlertMeasure.ACCEPT_RATE, 0.8),
        (AlertMeasure.ANSWER_RATE, 0.75),
        (AlertMeasure.CONVERSION_RATE, 0.25),
        (AlertMeasure.CALLS, 50),
        (AlertMeasure.UNANSWERED_CALLS, 5),
        (AlertMeasure.PING_P95_MS, 200.0),
    ],
)
def test_each_measure_reads_what_it_is_named_after(measure: AlertMeasure, value: float) -> None:
    assert reading(reads(measure), FIGURES) == pytest.approx(value, rel=0.01)


def test_with_too_small_a_sample_there_is_no_reading_but_of_counts() -> None:
    few = 41
    assert reading(reads(AlertMeasure.TIMEOUT_RATE, minimum_sample=few), FIGURES) is None
    assert reading(reads(AlertMeasure.PING_P95_MS, minimum_sample=101), FIGURES) is None
    assert reading(reads(AlertMeasure.CALLS, minimum_sample=few), NOTHING) == 0
    assert reading(reads(AlertMeasure.BID_RATE), NOTHING) is None
    assert reading(reads(AlertMeasure.PING_P95_MS), NOTHING) is None


def test_against_its_own_past_a_reading_is_a_share() -> None:
    accepts = reads(AlertMeasure.ACCEPT_RATE, comparison=Comparison.BELOW, past_minutes=60)
    past = replace(FIGURES, posts_accepted=10, posts_rejected=0)
    assert reading(accepts, FIGURES, past, 60) == pytest.approx(0.8)
    assert reading(accepts, FIGURES, NOTHING, 60) is None
    assert reading(accepts, NOTHING, past, 60) is None
    assert reading(accepts, FIGURES, replace(past, posts_accepted=0), 60) is None


def test_counts_are_compared_for_the_same_length_of_time() -> None:
    calls = reads(AlertMeasure.CALLS, over_minutes=5, past_minutes=60)
    assert reading(calls, FIGURES, replace(FIGURES, calls=600), 60) == 1.0


def test_no_calls_mean_something_only_where_calls_could_be_taken() -> None:
    before = NOON - timedelta(hours=1)
    from_noon = Hours(NEW_YORK, parse_weekly({"mon-sun": ["12:00-18:00"]}))
    assert could_take_calls([an_offer()], before, NOON)
    assert not could_take_calls([an_offer(hours=from_noon)], before, NOON)
    assert could_take_calls([an_offer(hours=from_noon)], NOON, NOON + timedelta(hours=1))
    assert not could_take_calls([an_offer(enabled=False)], before, NOON)
    assert not could_take_calls([an_offer(buyer_enabled=False)], before, NOON)
    assert not could_take_calls([], before, NOON)
