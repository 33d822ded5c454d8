"""The score of a call."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auction.domain.call import FieldValue
from auction.domain.filters import Op, lookup, matches, prepare
from auction.domain.quality import Quality, QualityRule, QualityTerms, rate
from tests.builders import a_call

HOMEOWNER = QualityRule((prepare("homeowner", Op.EQ, "yes"),), 20)
YOUNG_DRIVER = QualityRule(
    (prepare("age", Op.LT, 25), prepare("vertical", Op.EQ, "auto_insurance")), -30
)
TERMS = QualityTerms(50, (HOMEOWNER, YOUNG_DRIVER), source_points=15)


@pytest.mark.parametrize(
    ("fields", "score"),
    [
        ({}, 50),
        ({"homeowner": "YES"}, 70),
        ({"age": 20}, 50),
        ({"age": 20, "vertical": "auto_insurance"}, 20),
        ({"age": 20, "vertical": "auto_insurance", "homeowner": "yes"}, 40),
    ],
)
def test_every_rule_that_is_met_brings_its_points(
    fields: dict[str, FieldValue], score: int
) -> None:
    assert rate(a_call(fields=fields), TERMS, None) == Quality(score)


@pytest.mark.parametrize(("standing", "points"), [("1", 15), ("-1", -15), ("0.5", 8), ("0", 0)])
def test_a_sources_history_brings_its_share(standing: str, points: int) -> None:
    assert rate(a_call(fields={}), TERMS, Decimal(standing)) == Quality(50 + points, points)


@given(
    st.integers(0, 100),
    st.lists(st.integers(-100, 100), max_size=5),
    st.integers(0, 100),
    st.decimals(-1, 1, places=2) | st.none(),
)
def test_a_score_lies_between_0_and_100(
    base: int, points: list[int], source_points: int, standing: Decimal | None
) -> None:
    always = (prepare("no_such_field", Op.EXISTS, False),)
    rules = tuple(QualityRule(always, each) for each in points)
    quality = rate(a_call(), QualityTerms(base, rules, source_points), standing)
    assert 0 <= quality.score <= 100
    assert abs(quality.source_points) <= source_points
    inside = base + sum(points) + quality.source_points
    assert quality.score == min(max(inside, 0), 100)


def test_a_score_can_be_filtered_on_and_hides_a_field_of_its_name() -> None:
    wanted = prepare("quality", Op.GTE, 60)
    sent = a_call(fields={"quality": 99})
    assert lookup(sent, "quality") == 99
    assert matches(wanted, sent)
    assert not matches(wanted, a_call(fields={"quality": 99}, quality=59))
    assert matches(wanted, a_call(fields={}, quality=60))
    assert not matches(wanted, a_call(fields={}))
