"""Whether a ping gives a caller away."""

import re
from collections.abc import Set as AbstractSet

_DIGITS_ONLY = bytes(ord("0") if chr(byte).isdecimal() else ord(" ") for byte in range(128)).ljust(
    256, b" "
)
_SHORTEST = b"0" * 8
_NUMBER = re.compile(
    rb"(?<!\w)(?:\+|%2B)([0-9]{8,15})(?![0-9A-Za-z])"
    rb"|(?<!\w)1?([2-9][0-9]{2}[2-9][0-9]{6})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_NATIONAL_DIGITS = 10


def national_digits(number: str) -> bytes:
    """The last ten digits of a number, by which numbers are compared."""
    digits = "".join(character for character in number if character.isdecimal())
    return digits[-_NATIONAL_DIGITS:].encode()


def carries_caller_id(text: bytes, known: AbstractSet[bytes]) -> bool:
    """Whether ``text`` holds a phone number, in E.164 or as 10 or 11 North American digits.

    ``known`` are national digits of numbers that are no callers. Runs of digits inside words, such
    as identifiers in hexadecimal, do not count.
    """
    if _SHORTEST not in text.translate(_DIGITS_ONLY):
        return False
    return any(
        (match[1] or match[2])[-_NATIONAL_DIGITS:] not in known for match in _NUMBER.finditer(text)
    )
