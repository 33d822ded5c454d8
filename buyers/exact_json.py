"""JSON whose numbers stay what the buyer wrote: quickly where floats can be trusted."""

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import NoReturn

import orjson

_LONG_NUMBER = re.compile(rb"[0-9.]{16}")
_BEYOND_DECIMAL = Decimal("1E+1000")
_BOM = b"\xef\xbb\xbf"


class MalformedAnswerError(ValueError):
    """An answer is not what its format promises; the message is ours and quotes nothing of it."""


def parse_json(data: bytes) -> object:
    """A JSON document; numbers that are no integers of 64 bits are float or Decimal.

    Raises MalformedAnswerError: not JSON (NaN and Infinity are none), not UTF-8, or nested deeper
    than about 1,000 levels.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return parse_decimals(data)


def exactly(number: float, data: bytes, find: Callable[[object], object]) -> object:
    """What ``find`` gives for ``data`` in place of a float, as a Decimal of just the digits sent.

    A float of at most 15 digits prints as it was written. Any other document is parsed again; a
    number that ``find`` itself has computed stays as it is.
    """
    if _LONG_NUMBER.search(data) is not None:
        found = find(parse_decimals(data))
        if found is not None and not isinstance(found, float):
            return found
    return Decimal(repr(number)) if math.isfinite(number) else _BEYOND_DECIMAL


def parse_decimals(data: bytes) -> object:
    """A JSON document without floats: what is no short integer is a Decimal.

    Raises as ``parse_json`` does.
    """
    try:
        text = data.removeprefix(_BOM).decode()
        document = json.loads(
            text, parse_float=_decimal, parse_int=_integer, parse_constant=_no_constant
        )
        if "\\ud" in text or "\\uD" in text:
            _refuse_lone_surrogates(document)
    except RecursionError:
        raise MalformedAnswerError("nested too deeply") from None
    except ValueError:
        raise MalformedAnswerError("not JSON") from None
    return document


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return _BEYOND_DECIMAL


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < 19 else Decimal(text)


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


def _refuse_lone_surrogates(document: object) -> None:
    json.dumps(document, ensure_ascii=False, default=str).encode()
