"""Amounts: what is one, and how it is written."""

from decimal import Decimal

import pytest

from auction.domain.money import MAX_AMOUNT, from_units, parse_amount, render, to_units


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (52, "52"),
        ("52", "52"),
        ("52.5", "52.5"),
        ("$52.50", "52.50"),
        ("  52.50\n", "52.50"),
        (" $52.50 ", "52.50"),
        (".5", "0.5"),
        ("007", "7"),
        (Decimal("52.50"), "52.50"),
        (Decimal("5.2E+1"), "52"),
        (Decimal("1E+4"), "10000"),
        ("0.0001", "0.0001"),
        (10_000, "10000"),
        ("10000.0000", "10000"),
    ],
)
def test_an_amount_is_read_exactly(sent: object, expected: str) -> None:
    assert parse_amount(sent) == Decimal(expected)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [("52.99999", "52.9999"), ("0.00019", "0.0001"), (Decimal("9999.99999"), "9999.9999")],
)
def test_further_decimals_are_cut_and_never_rounded(sent: object, expected: str) -> None:
    assert parse_amount(sent) == Decimal(expected)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        True,
        52.0,
        float("nan"),
        "",
        "   ",
        "$",
        "$ 52",
        "$$52",
        "52$",
        "USD 52",
        "+52",
        "-52",
        "$-52",
        "$+52",
        "1,000.00",
        "1_000",
        "52.",
        "1e3",
        "5.2e1",
        "0x10",
        "NaN",
        "inf",
        "Infinity",
        "-0",
        "٥٢",
        "５２",
        0,
        "0",
        "0.00",
        "0.00009",
        -1,
        "10000.01",
        "10000.00001",
        10_001,
        10**400,
        -(10**400),
        Decimal("1E+400"),
        Decimal("-1E+400"),
        Decimal("1E-400"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        "9" * 1_000_000,
        "0." + "0" * 1_000_000 + "1",
        "5" + "0" * 40,
        [52],
        {"amount": 52},
        b"52",
    ],
)
def test_what_is_no_amount_is_none(sent: object) -> None:
    assert parse_amount(sent) is None


@pytest.mark.parametrize(
    ("amount", "units"),
    [("52.00", 520_000), ("0.0001", 1), ("10000", 100_000_000), ("0", 0), ("-3.5", -35_000)],
)
def test_an_amount_and_its_units_are_the_same(amount: str, units: int) -> None:
    assert to_units(Decimal(amount)) == units
    assert from_units(units) == Decimal(amount)


def test_units_of_a_sum_larger_than_any_amount_stay_exact() -> None:
    assert to_units(from_units(10**20 + 1)) == 10**20 + 1


def test_units_cut_what_is_beyond_the_fourth_decimal() -> None:
    assert to_units(Decimal("1.00019")) == 10_001


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("52", "52.00"),
        ("52.5", "52.50"),
        ("52.0000", "52.00"),
        ("0.0125", "0.0125"),
        ("0.125", "0.125"),
        ("0", "0.00"),
        ("1E+4", "10000.00"),
        ("-20.00", "-20.00"),
    ],
)
def test_an_amount_is_written_with_two_to_four_decimals(amount: str, text: str) -> None:
    assert render(Decimal(amount)) == text


def test_the_largest_amount_is_ten_thousand() -> None:
    assert parse_amount(str(MAX_AMOUNT)) == 10_000
