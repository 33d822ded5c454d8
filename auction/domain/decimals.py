"""Reading exact decimals from what others send, bounded and without surprises."""

import re
from decimal import Decimal
from typing import Final

_PLAIN: Final = re.compile(r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)", re.ASCII)
_LONGEST_TEXT: Final = 32
_LARGEST_EXPONENT: Final = 15
"""Values of 10**16 and more are no figure of this business."""

_LARGEST_INT: Final = 10 ** (_LARGEST_EXPONENT + 1)


def read_decimal(value: object) -> Decimal | None:
    """The decimal that an int, a Decimal, a float or a plain text stands for; None for all else.

    Text is trimmed and at most 32 characters of sign, digits and one point: no exponent, no
    thousands separators, no digits of other scripts. Booleans, NaN, infinities and values from
    10**16 on are None. A float stands for its shortest decimal form; never read money with it
    (``auction.domain.money``).
    """
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, Decimal):
        return _bounded(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if -_LARGEST_INT < value < _LARGEST_INT else None
    return _bounded(Decimal(repr(value))) if isinstance(value, float) else None


def _from_text(text: str) -> Decimal | None:
    text = text.strip()
    if len(text) > _LONGEST_TEXT or _PLAIN.fullmatch(text) is None:
        return None
    return _bounded(Decimal(text))


def _bounded(value: Decimal) -> Decimal | None:
    return value if value.is_finite() and value.adjusted() <= _LARGEST_EXPONENT else None
