"""Keeps secrets and telephone numbers out of logs and error texts."""

import re
from collections.abc import Mapping, Sequence

HIDDEN = "[redacted]"

_SECRET_KEY = re.compile(
    r"secret|token|passw|authorization|credential|cookie|signature|dsn|api[-_]?key|(?:^|[-_])key$",
    re.IGNORECASE,
)

_SECRET_TEXT = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s,;\"']+"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)(postgres\w*://)\S*@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(?i)(\w+://)[^\s/@]+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(
            r"(?i)([\w-]*(?:secret|token|passw(?:or)?d|authorization|api[-_]?key|signature)[\w-]*"
            r"[\"']?\s*[:=]\s*)(?!\s*(?:bearer|basic)\b)(\"[^\"]*\"|'[^']*'|[^\s,;&\"')}\]]+)"
        ),
        rf"\1{HIDDEN}",
    ),
)

_NUMBER = re.compile(
    r"\+?\d{7,}"
    r"|\+\d[\d ().-]{6,}\d"
    r"|\(?\b\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b"
)

_NUMBER_IN_ID = re.compile(r"(?<![0-9A-Fa-f])\+?\d{7,15}(?![0-9A-Fa-f])")

_LARGEST_PLAIN_INTEGER = 10**9

_DEPTH = 4


def redact(text: str) -> str:
    """The text without secrets that can be told by their shape, telephone numbers masked."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return mask_numbers(text)


def mask_numbers(text: str) -> str:
    """The text with every run of seven or more digits, and every written number, cut to its end."""
    return _NUMBER.sub(_masked, text)


def redact_value(key: str, value: object) -> object:
    """A structured value made safe: hidden when its key names a secret, else redacted all through.

    An identifier (``call_id``, ``ping_id``) keeps hexadecimal and digits too long for a telephone
    number, so that it can be found.
    """
    if isinstance(value, str) and key.endswith("_id") and key != "caller_id":
        return _NUMBER_IN_ID.sub(_masked, value)
    if value is not None and not isinstance(value, bool) and _SECRET_KEY.search(key):
        return HIDDEN
    return _redacted(value, _DEPTH)


def _redacted(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < _LARGEST_PLAIN_INTEGER else mask_numbers(str(value))
    if depth and isinstance(value, Mapping):
        return {redact(str(k)): _redacted_item(str(k), v, depth) for k, v in value.items()}
    if depth and isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [_redacted(each, depth - 1) for each in value]
    return redact(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # a log call never breaks the caller
        return f"unreadable {type(value).__name__}"


def _redacted_item(key: str, value: object, depth: int) -> object:
    hidden = value is not None and _SECRET_KEY.search(key)
    return HIDDEN if hidden else _redacted(value, depth - 1)


def _masked(match: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in match[0])
    return "*" * (digits - 2) + match[0][-2:]
