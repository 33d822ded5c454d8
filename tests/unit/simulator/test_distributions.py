"""Latencies and amounts: shape, bounds, shorthand."""

from decimal import Decimal
from statistics import mean, median
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from buyers.simulator.distributions import Amounts, Latency

LATENCY: TypeAdapter[Any] = TypeAdapter(Latency)
AMOUNTS: TypeAdapter[Any] = TypeAdapter(Amounts)
SHARES = [(number + 0.5) / 1000 for number in range(1000)]


def milliseconds(**latency: object) -> list[float]:
    distribution = LATENCY.validate_python(latency)
    return [distribution.seconds(share) * 1000 for share in SHARES]


def amounts(**bid: object) -> list[Decimal]:
    distribution = AMOUNTS.validate_python(bid)
    return [Decimal(distribution.text(share)) for share in SHARES]


def test_a_bare_number_is_a_constant_latency() -> None:
    assert LATENCY.validate_python(25).seconds(0.9) == 0.025


def test_a_uniform_latency_spreads_evenly() -> None:
    drawn = milliseconds(distribution="uniform", low=10, high=30)
    assert mean(drawn) == pytest.approx(20)
    assert min(drawn) == pytest.approx(10, abs=0.1)
    assert max(drawn) == pytest.approx(30, abs=0.1)


def test_a_normal_latency_is_cut_off_and_not_heaped_up_at_its_bounds() -> None:
    drawn = milliseconds(distribution="normal", mean=40, deviation=20, low=30, high=200)
    assert min(drawn) >= 30
    assert drawn.count(30) == 0
    assert mean(drawn) > 45


def test_half_of_a_lognormal_latency_is_below_its_median() -> None:
    drawn = milliseconds(distribution="lognormal", median=60, sigma=0.5)
    assert median(drawn) == pytest.approx(60, rel=0.01)
    assert mean(drawn) > 64


def test_an_exponential_latency_starts_at_low_and_has_a_long_tail() -> None:
    drawn = milliseconds(distribution="exponential", mean=50, low=20, high=10_000)
    assert min(drawn) >= 20
    assert mean(drawn) == pytest.approx(70, rel=0.02)
    assert max(drawn) > 300


@pytest.mark.parametrize("share", [0.0, 1 - 2**-53])
@pytest.mark.parametrize(
    "latency",
    [
        {"distribution": "uniform", "low": 1, "high": 2},
        {"distribution": "normal", "mean": 5, "deviation": 1},
        {"distribution": "normal", "mean": 5000, "deviation": 1, "low": 0, "high": 10},
        {"distribution": "lognormal", "median": 5, "sigma": 3},
        {"distribution": "exponential", "mean": 5},
    ],
)
def test_the_ends_of_every_latency_are_finite_and_in_bounds(
    latency: dict[str, object], share: float
) -> None:
    seconds = LATENCY.validate_python(latency).seconds(share)
    assert 0 <= seconds <= 120


def test_a_bare_text_is_a_constant_amount_sent_as_written() -> None:
    assert AMOUNTS.validate_python("$52.50").text(0.3) == "$52.50"
    assert AMOUNTS.validate_python(52).text(0.3) == "52"


def test_uniform_amounts_are_whole_cents_from_low_to_high() -> None:
    distribution = AMOUNTS.validate_python(
        {"distribution": "uniform", "low": "1.00", "high": "1.02"}
    )
    texts = [distribution.text(share) for share in (0.0, 0.34, 0.67, 1 - 2**-53)]
    assert texts == ["1.00", "1.01", "1.02", "1.02"]


def test_normal_amounts_stay_within_bounds() -> None:
    drawn = amounts(distribution="normal", mean="45", deviation="10", low="40.50", high="60")
    assert min(drawn) >= Decimal("40.50")
    assert max(drawn) <= 60
    assert mean(drawn) > 45


def test_each_value_of_a_choice_is_as_likely_as_the_next() -> None:
    drawn = amounts(distribution="choice", values=["1.00", "2.00", "4.00"])
    counts = [drawn.count(Decimal(value)) for value in ("1.00", "2.00", "4.00")]
    assert sum(counts) == len(SHARES)
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("bid", "word"),
    [
        (52.5, "as text"),
        (True, "as text|valid string"),
        ('5"', "without quotes"),
        ("", "1 to 64"),
        ({"distribution": "choice", "values": []}, "at least one"),
        ({"distribution": "uniform", "low": "2", "high": "1"}, "low is above high"),
        ({"distribution": "uniform", "low": "NaN", "high": "1"}, "finite"),
        ({"distribution": "pareto"}, "pareto|uniform"),
    ],
)
def test_an_amount_that_cannot_be_drawn_is_refused(bid: object, word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        AMOUNTS.validate_python(bid)


@pytest.mark.parametrize(
    "latency",
    [
        -1,
        float("nan"),
        500_000,
        "fast",
        {"distribution": "uniform", "low": 5, "high": 1},
        {"distribution": "normal", "mean": 5, "deviation": 0},
        {"distribution": "constant", "value": 1, "extra": 1},
    ],
)
def test_a_latency_that_cannot_be_drawn_is_refused(latency: object) -> None:
    with pytest.raises(ValidationError):
        LATENCY.validate_python(latency)
