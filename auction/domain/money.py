"""Amounts of money: read, bounded, rendered. Never a float."""

from decimal import ROUND_DOWN, Context, Decimal
from typing import Final

from auction.domain.decimals import read_decimal

MAX_AMOUNT: Final = Decimal(10_000)
"""No price, bid or payout is above this."""

_SMALLEST: Final = Decimal("0.0001")
_UNITS_PER_ONE: Final = Decimal(10_000)
_CONTEXT: Final = Context(prec=34)


def parse_amount(value: object) -> Decimal | None:
    """The amount that a buyer or an operator sent, with four decimals; None when not valid.

    Takes int, Decimal and text (``52``, ``52.5``, ``$52.50``, trimmed). Further decimals are cut,
    never rounded. Valid is above 0 and at most 10,000; signs, exponents in text, separators, NaN,
    booleans and floats are not.
    """
    if isinstance(value, str):
        value = value.strip().removeprefix("$")
        if not value[:1].isdigit() and value[:1] != ".":
            return None
    elif isinstance(value, float):
        return None
    amount = read_decimal(value)
    if amount is None or not 0 < amount <= MAX_AMOUNT:
        return None
    return _cut(amount) or None


def _cut(amount: Decimal) -> Decimal:
    return amount.quantize(_SMALLEST, rounding=ROUND_DOWN, context=_CONTEXT)


def to_units(amount: Decimal) -> int:
    """The amount in ten-thousandths; decimals beyond the fourth are cut."""
    return int(_CONTEXT.multiply(amount, _UNITS_PER_ONE))


def from_units(units: int) -> Decimal:
    """The amount of so many ten-thousandths."""
    return Decimal(units).scaleb(-4, _CONTEXT)


def render(amount: Decimal) -> str:
    """The amount as text with at least two and at most four decimals: ``52.00``, ``0.0125``."""
    text = f"{amount:.4f}"
    if text.endswith("00"):
        return text[:-2]
    return text.removesuffix("0")
