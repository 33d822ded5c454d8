"""What buyers write into their answers, made fit for a trace: short, printable, no numbers."""

import re

MAXIMUM_LENGTH = 200
_READ_AT_MOST = 1000
_PHONE_NUMBER = re.compile(r"\+?\d(?:[\s().\-/]{0,3}\d){6,}")


def text_of(value: object) -> str | None:
    """A scalar as text: ``true`` and ``false`` for booleans, None for null, lists and objects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return None if value is None or isinstance(value, dict | list) else str(value)


def clean_detail(value: object) -> str | None:
    """A buyer's own words: at most 200 characters, printable, digit runs of 7 and more masked.

    None when nothing is left, or when ``value`` is no scalar.
    """
    text = text_of(value)
    if not text:
        return None
    printable = "".join(filter(str.isprintable, text[:_READ_AT_MOST]))
    return _PHONE_NUMBER.sub("***", printable).strip()[:MAXIMUM_LENGTH] or None
