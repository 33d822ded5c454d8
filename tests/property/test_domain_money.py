"""Amounts of any shape."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.money import MAX_AMOUNT, from_units, parse_amount, render, to_units

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(),
    st.from_regex(r"\s?\$?[+-]?\d{0,20}[.,]?\d{0,12}([eE][+-]?\d{1,3})?\s?", fullmatch=True),
    st.binary(),
)
AMOUNTS = st.integers(1, 100_000_000).map(from_units)


@given(ANYTHING)
def test_whatever_comes_is_a_bounded_amount_or_none(sent: object) -> None:
    amount = parse_amount(sent)
    if amount is not None:
        assert 0 < amount <= MAX_AMOUNT
        assert amount == from_units(to_units(amount))
        assert not isinstance(sent, bool | float)


@given(AMOUNTS)
def test_an_amount_survives_being_written_and_read(amount: Decimal) -> None:
    text = render(amount)
    assert parse_amount(text) == parse_amount(f" ${text}") == amount
    assert 2 <= len(text.partition(".")[2]) <= 4


@given(AMOUNTS, st.text("0123456789", max_size=12))
def test_digits_beyond_the_fourth_never_change_an_amount(amount: Decimal, more: str) -> None:
    if amount < MAX_AMOUNT:
        assert parse_amount(f"{amount:.4f}{more}") == amount
