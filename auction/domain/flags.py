"""Yes and no as callers' fields say them."""

from typing import Final

_WORDS: Final = dict.fromkeys(("true", "yes", "y", "t", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "n", "f", "off", "0"), False
)
_LONGEST_TEXT: Final = 16


def read_flag(value: object) -> bool | None:
    """Whether a value says yes or no, None where it says neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower()) if len(value) <= _LONGEST_TEXT else None
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None
