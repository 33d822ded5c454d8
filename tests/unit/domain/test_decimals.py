"""Exact decimals from foreign values."""

from decimal import Decimal

import pytest

from auction.domain.decimals import read_decimal


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (5, "5"),
        (-5, "-5"),
        ("5", "5"),
        (" -5.25 ", "-5.25"),
        ("+5", "5"),
        (0.1, "0.1"),
        (1e3, "1000"),
        (Decimal("6E+1"), "60"),
        (10**16 - 1, str(10**16 - 1)),
        (1 - 10**16, str(1 - 10**16)),
        (Decimal("1E+15"), "1000000000000000"),
        ("0." + "1" * 30, "0." + "1" * 30),
        (" " * 100 + "5", "5"),
    ],
)
def test_a_plain_number_is_read_exactly(sent: object, expected: str) -> None:
    assert read_decimal(sent) == Decimal(expected)


@pytest.mark.parametrize(
    "sent",
    [
        True,
        None,
        "",
        "five",
        "1e3",
        "--5",
        "5 5",
        "1" * 33,
        10**16,
        -(10**16),
        "10000000000000000",
        1e300,
        float("inf"),
        float("nan"),
        Decimal("NaN"),
        (),
    ],
)
def test_everything_else_is_none(sent: object) -> None:
    assert read_decimal(sent) is None
