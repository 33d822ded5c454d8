"""What an offer demands of a call before it is asked: fields of some form, and consent."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final

import re2  # type: ignore[import-untyped] # google-re2 ships no types
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
)

from auction.domain import validation as domain
from auction.domain.dates import read_date
from auction.domain.validation import BOUNDED, Bound, Matches, ValueType
from config.expressions import quiet_options
from config.faults import mistake
from config.values import Days, FieldName, Model, read_number

MAXIMUM_PATTERN: Final = 500

_LONGEST_TEXT: Final = 10_000


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Matches:
    """A regular expression that a whole text must match, in linear time. Raises ValueError."""
    try:
        compiled = re2.compile(f"(?:{pattern})", quiet_options())
    except re2.error:
        raise ValueError(
            "is not a regular expression that can be matched in bounded time"
        ) from None
    matches: Callable[[str], object] = compiled.fullmatch
    return matches


def _pattern(text: str) -> str:
    try:
        compile_pattern(text)
    except ValueError as error:
        raise mistake(str(error)) from None
    return text


def _read_bound(value: object, info: ValidationInfo) -> int | Decimal | str | None:
    kind = info.data.get("type")
    if value is None or kind is None:
        return None
    if kind not in BOUNDED:
        raise mistake(f"does not go with type {kind.value}")
    if kind is ValueType.DATE:
        return _read_day(value)
    number = read_number(value)
    if kind is ValueType.DECIMAL:
        return number
    if number != int(number) or (kind is ValueType.STRING and not 0 <= number <= _LONGEST_TEXT):
        told = "a length in characters" if kind is ValueType.STRING else "a whole number"
        raise mistake(f"must be {told}")
    return int(number)


def _read_day(value: object) -> str:
    day = read_date(value) if isinstance(value, str) and len(value) == len("2026-12-25") else None
    if day is None or day.isoformat() != value:
        raise mistake("must be a date such as 2026-12-25")
    return value


ReadBound = Annotated[int | Decimal | str | None, BeforeValidator(_read_bound)]


class Validation(Model):
    """The form of one field: its type, its bounds (of a string: its length), a pattern.

    A missing field passes: ``required_fields`` says what must be there.
    """

    field: FieldName
    type: ValueType = ValueType.STRING
    minimum: ReadBound = None
    maximum: ReadBound = None
    pattern: (
        Annotated[
            StrictStr, Field(min_length=1, max_length=MAXIMUM_PATTERN), AfterValidator(_pattern)
        ]
        | None
    ) = None

    @field_validator("maximum")
    @classmethod
    def _not_below_minimum(
        cls, maximum: int | Decimal | str | None, info: ValidationInfo
    ) -> int | Decimal | str | None:
        minimum = info.data.get("minimum")
        if maximum is not None and minimum is not None and maximum < minimum:
            raise mistake("is below minimum: no value could pass")
        return maximum


class ConsentRule(Model):
    """A field that tells when the caller consented, and how long ago that may be.

    Without an age any moment will do, and so will a plain yes.
    """

    field: FieldName
    max_age_h: Annotated[StrictInt, Field(ge=1, le=87_600)] | None = None
    max_age_days: Days | None = None

    @field_validator("max_age_days")
    @classmethod
    def _one_age(cls, days: int | None, info: ValidationInfo) -> int | None:
        if days is not None and info.data.get("max_age_h") is not None:
            raise mistake("give either max_age_h or max_age_days")
        return days


def requirement_of(rule: Validation | ConsentRule) -> domain.Requirement:
    """The rule as decisions read it."""
    if isinstance(rule, ConsentRule):
        hours, days = rule.max_age_h, rule.max_age_days
        age = None if hours is None and days is None else timedelta(days or 0, hours=hours or 0)
        return domain.Consent(rule.field, age)
    return domain.Validation(
        field=rule.field,
        type=rule.type,
        minimum=_bound(rule.minimum),
        maximum=_bound(rule.maximum),
        matches=None if rule.pattern is None else compile_pattern(rule.pattern),
    )


def _bound(value: int | Decimal | str | None) -> Bound | None:
    if isinstance(value, str):
        return date.fromisoformat(value)
    return None if value is None else Decimal(value)
