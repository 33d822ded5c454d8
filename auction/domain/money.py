"""Amounts of money: read, bounded, rendered. Never a float."""

from decimal import ROUND_DOWN, Context, Decimal
from functools import lru_cache
from typing import Final

from auction.domain.decimals import read_decimal

MAX_AMOUNT: Final = Decimal(10_000)
"""No price, bid or payout is above this."""

_SMALLEST: Final = Decimal("0.0001")
_CONTEXT: Final = Context(prec=34)
_LONGEST_KEPT: Final = 16


def parse_amount(value: object) -> Decimal | None:
    """The amount that a buyer or an operator sent, with four decimals; None when not valid.

    Takes int, Decimal and text (``52``, ``52.5``, ``$52.50``, trimmed). Further decimals are cut,
    never rounded. Valid is above 0 and at most 10,000; signs, exponents in text, separators, NaN,
    booleans and floats are not.
    """
    if isinstance(value, str):
        return _from_text(value) if len(value) > _LONGEST_KEPT else _from_short_text(value)
    return None if isinstance(value, float) else _from_number(value)


def _from_text(text: str) -> Decimal | None:
    text = text.strip().removeprefix("$")
    if not text[:1].isdigit() and text[:1] != ".":
        return None
    return _from_number(text)


_from_short_text = lru_cache(maxsize=4096)(_from_text)
"""Buyers name the same few prices all the time, and reading one takes longer than finding it."""


def _from_number(value: object) -> Decimal | None:
    amount = read_decimal(value)
    if amount is None or not 0 < amount <= MAX_AMOUNT:
        return None
    return _cut(amount) or None


def _cut(amount: Decimal) -> Decimal:
    return amount.quantize(_SMALLEST, rounding=ROUND_DOWN, context=_CONTEXT)


@lru_cache(maxsize=4096)
def to_units(amount: Decimal) -> int:
    """The amount in ten-thousandths; decimals beyond the fourth are cut."""
    return int(amount.scaleb(4, _CONTEXT))


def from_units(units: int) -> Decimal:
    """The amount of so many ten-thousandths."""
    return Decimal(units).scaleb(-4, _CONTEXT)


@lru_cache(maxsize=4096)
def render(amount: Decimal) -> str:
    """The amount as text with at least two and at most four decimals: ``52.00``, ``0.0125``."""
    text = f"{amount:.4f}"
    if text.endswith("00"):
        return text[:-2]
    return text.removesuffix("0")
