"""Plain data with Decimals as JSON, so that what reads it exactly gets the same numbers back."""

import json
from collections.abc import Mapping
from decimal import Decimal


def exact_text(document: Mapping[str, object]) -> str:
    """The JSON text; a number that a float can't stand for becomes text."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, default=_number)


def _number(value: object) -> float | str:
    if not isinstance(value, Decimal):
        message = f"{type(value).__name__} is no JSON"
        raise TypeError(message)
    near = float(value)
    return near if Decimal(repr(near)) == value else str(value)
