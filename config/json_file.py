"""Reading marketplace data as JSON, exactly: numbers with a fraction are Decimals, never floats."""

import json
from decimal import Decimal
from typing import Any

from config.faults import ConfigError, Fault
from config.yaml_file import MAXIMUM_DEPTH

_MAXIMUM_DIGITS = 100


class NotJsonError(ConfigError):
    """The text is no JSON at all."""


class _RefusedError(ValueError):
    """The message is for the operator."""


class _ConstantError(ValueError):
    """NaN or an infinity, which JSON does not have."""


def load_json(text: str | bytes) -> object:
    """The plain data of a JSON text. Raises ConfigError, NotJsonError where it is none.

    NaN and Infinity are none. Refused: duplicate keys, numbers of more than 100 characters,
    nesting beyond ``yaml_file.MAXIMUM_DEPTH``.
    """
    try:
        data: object = json.loads(
            text,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_keys,
        )
    except json.JSONDecodeError as error:
        raise NotJsonError([Fault((), f"is not JSON: {error.msg}", line=error.lineno)]) from None
    except _ConstantError as error:
        raise NotJsonError([Fault((), str(error))]) from None
    except _RefusedError as error:
        raise ConfigError([Fault((), str(error))]) from None
    except (UnicodeDecodeError, RecursionError):
        raise NotJsonError([Fault((), "is not JSON in UTF-8, or nested too deeply")]) from None
    if _deeper_than(data, MAXIMUM_DEPTH):
        raise ConfigError([Fault((), f"is nested more than {MAXIMUM_DEPTH} levels deep")])
    return data


def _decimal(text: str) -> Decimal:
    return Decimal(_short(text))


def _integer(text: str) -> int:
    return int(_short(text))


def _short(text: str) -> str:
    if len(text) > _MAXIMUM_DIGITS:
        raise _RefusedError(f"has a number of more than {_MAXIMUM_DIGITS} characters")
    return text


def _refuse_constant(name: str) -> Any:  # noqa: ANN401 - the signature of json
    raise _ConstantError(f"is not JSON: {name} is no number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [key for key, _ in pairs]
        repeated = next(key for key in names if names.count(key) > 1)
        raise _RefusedError(f"`{repeated[:100]}` stands twice in one object")
    return result


def _deeper_than(data: object, levels: int) -> bool:
    if not isinstance(data, dict | list):
        return False
    if levels == 0:
        return True
    below = data.values() if isinstance(data, dict) else data
    return any(_deeper_than(item, levels - 1) for item in below)
