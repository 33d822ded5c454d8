"""Filters on a call's fields, prepared when the catalogue is loaded so that matching is cheap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from sys import intern
from typing import Final

from auction.domain.call import Call, FieldValue
from auction.domain.decimals import read_decimal


class Op(Enum):
    """How a field is compared with a filter's value."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    BETWEEN = "between"
    PREFIX = "prefix"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition, made by ``prepare``; only what its operator needs is set.

    ``texts`` are folded for equality, ``low`` and ``high`` bound an ordering (``high`` only for
    ``between``), ``exists`` is what ``exists`` asks for.
    """

    field: str
    op: Op
    texts: frozenset[str] = frozenset()
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    prefix: str = ""
    exists: bool = True


def _quality(call: Call) -> FieldValue | None:
    return call.fields.get("quality") if call.quality is None else call.quality


_CALL_FIELDS: Final[dict[str, Callable[[Call], FieldValue | None]]] = {
    "caller.state": lambda call: call.caller.state,
    "caller.area_code": lambda call: call.caller.area_code,
    "caller.country": lambda call: call.caller.country,
    "source": lambda call: call.source,
    "dialed_number": lambda call: call.dialed_number,
    "quality": _quality,
}

CALL_FIELDS: Final = frozenset(_CALL_FIELDS)
"""Names that a filter may use besides the call's own fields; they hide a field of the same name.

``quality`` hides one only where the campaign scores its calls.
"""


def prepare(field: str, op: Op, value: object) -> Filter:
    """A filter ready to match. Raises ValueError when the value does not suit the operator.

    Its texts are interned: thousands of offers name the same states and fields.

    ``eq``, ``ne`` and ``prefix`` take a text, number or boolean; ``in`` and ``not_in`` a list of
    them; the orderings a decimal; ``between`` two decimals, the lower first; ``exists`` a boolean.
    """
    if not field.strip():
        raise ValueError("a filter needs the name of a field")
    return _PREPARERS[op](intern(field.strip()), op, value)


def _prepare_equality(field: str, op: Op, value: object) -> Filter:
    return Filter(field, op, texts=frozenset({intern(_folded(_scalar(op, value)))}))


def _prepare_membership(field: str, op: Op, value: object) -> Filter:
    values = _sequence(value)
    if not values:
        raise ValueError(f"{op.value} needs a list of at least one value")
    return Filter(field, op, texts=frozenset(intern(_folded(_scalar(op, item))) for item in values))


def _prepare_ordering(field: str, op: Op, value: object) -> Filter:
    return Filter(field, op, low=_decimal(op, value))


def _prepare_between(field: str, op: Op, value: object) -> Filter:
    values = _sequence(value)
    if values is None or len(values) != 2:
        raise ValueError(f"{op.value} needs a list of two numbers")
    low, high = (_decimal(op, item) for item in values)
    if low > high:
        raise ValueError(f"{op.value} needs the lower number first")
    return Filter(field, op, low=low, high=high)


def _prepare_prefix(field: str, op: Op, value: object) -> Filter:
    return Filter(field, op, prefix=as_text(_scalar(op, value)))


def _prepare_exists(field: str, op: Op, value: object) -> Filter:
    if not isinstance(value, bool):
        raise ValueError(f"{op.value} needs true or false")
    return Filter(field, op, exists=value)


_PREPARERS: Final = {
    Op.EQ: _prepare_equality,
    Op.NE: _prepare_equality,
    Op.IN: _prepare_membership,
    Op.NOT_IN: _prepare_membership,
    Op.LT: _prepare_ordering,
    Op.LTE: _prepare_ordering,
    Op.GT: _prepare_ordering,
    Op.GTE: _prepare_ordering,
    Op.BETWEEN: _prepare_between,
    Op.PREFIX: _prepare_prefix,
    Op.EXISTS: _prepare_exists,
}


def _scalar(op: Op, value: object) -> FieldValue:
    if not isinstance(value, str | int | float | bool) or is_missing(value):
        raise ValueError(f"{op.value} needs a text, a number or a boolean")
    return value


def _decimal(op: Op, value: object) -> Decimal:
    number = read_decimal(value)
    if number is None:
        raise ValueError(f"{op.value} needs a number")
    return number


def _sequence(value: object) -> Sequence[object] | None:
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else None


def is_missing(value: object) -> bool:
    """Whether a field's value counts as missing: null, or a text with nothing in it."""
    return value is None or (isinstance(value, str) and not value.strip())


def lookup(call: Call, field: str) -> FieldValue | None:
    """The value of a call's field or of one of ``CALL_FIELDS``; None when it is missing."""
    reader = _CALL_FIELDS.get(field)
    value = call.fields.get(field) if reader is None else reader(call)
    return None if is_missing(value) else value


def matches(condition: Filter, call: Call) -> bool:
    """Whether the call meets the condition; a missing field meets only ``exists: false``."""
    value = lookup(call, condition.field)
    if condition.op is Op.EXISTS:
        return (value is not None) is condition.exists
    return value is not None and _MATCHERS[condition.op](condition, value)


_MATCHERS: Final[dict[Op, Callable[[Filter, FieldValue], bool]]] = {
    Op.EQ: lambda condition, value: _folded(value) in condition.texts,
    Op.NE: lambda condition, value: _folded(value) not in condition.texts,
    Op.IN: lambda condition, value: _folded(value) in condition.texts,
    Op.NOT_IN: lambda condition, value: _folded(value) not in condition.texts,
    Op.LT: lambda condition, value: _ordered(value, lambda number: number < condition.low),
    Op.LTE: lambda condition, value: _ordered(value, lambda number: number <= condition.low),
    Op.GT: lambda condition, value: _ordered(value, lambda number: number > condition.low),
    Op.GTE: lambda condition, value: _ordered(value, lambda number: number >= condition.low),
    Op.BETWEEN: lambda condition, value: _ordered(
        value, lambda number: condition.low <= number <= condition.high
    ),
    Op.PREFIX: lambda condition, value: as_text(value).startswith(condition.prefix),
}


def _ordered(value: FieldValue, holds: Callable[[Decimal], bool]) -> bool:
    number = read_decimal(value)
    return number is not None and holds(number)


def _folded(value: FieldValue) -> str:
    return as_text(value).casefold()


def as_text(value: FieldValue) -> str:
    """What a value is compared as: 5, 5.0 and "5" are alike, and so are true and "true"."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return str(value)
