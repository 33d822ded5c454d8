"""What a call's fields must be before an offer is asked, prepared when the catalogue loads."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from auction.domain.area_codes import STATES
from auction.domain.call import FieldValue
from auction.domain.dates import read_date
from auction.domain.decimals import read_decimal
from auction.domain.filters import as_text
from auction.domain.flags import read_flag
from auction.domain.phone import normalise_number
from auction.domain.reasons import Reason


class ValueType(Enum):
    """What a field's value must be readable as."""

    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    EMAIL = "email"
    PHONE = "phone"
    ZIP = "zip"
    STATE = "state"
    BOOLEAN = "boolean"


Bound = Decimal | date
"""Of a number or a text's length in characters, or of a date."""

Matches = Callable[[str], object]
"""Whether a whole trimmed text has a form; must take linear time."""

BOUNDED: Final = frozenset({ValueType.STRING, ValueType.INTEGER, ValueType.DECIMAL, ValueType.DATE})
"""The types that may have a minimum and a maximum."""


@dataclass(frozen=True, slots=True)
class Validation:
    """One field's type and bounds, both ends included. A missing field is for required fields."""

    field: str
    type: ValueType = ValueType.STRING
    minimum: Bound | None = None
    maximum: Bound | None = None
    matches: Matches | None = None

    def fault(self, value: FieldValue | None, _at: datetime) -> Reason | None:
        """Why a value is refused, None: it is as it must be, or missing."""
        if value is None or self._holds(value):
            return None
        return Reason.INVALID_FIELD

    def _holds(self, value: FieldValue) -> bool:
        if self.matches is not None and not self.matches(as_text(value)):
            return False
        if self.type not in BOUNDED:
            return _SHAPES[self.type](value)
        size = _SIZES[self.type](value)
        return (
            size is not None
            and (self.minimum is None or not _less(size, self.minimum))
            and (self.maximum is None or not _less(self.maximum, size))
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """A field that must tell when the caller consented, at most ``maximum_age`` before the call.

    ``maximum_age`` None: however long ago, and a plain yes will do.
    """

    field: str
    maximum_age: timedelta | None = None

    def fault(self, value: FieldValue | None, at: datetime) -> Reason | None:
        """Why there is no consent for a call at this moment, None: there is."""
        if value is None:
            return Reason.CONSENT_MISSING
        if self.maximum_age is None and read_flag(value) is True:
            return None
        given_at = read_moment(value)
        if given_at is None or given_at > at + CLOCKS_DIFFER:
            return Reason.CONSENT_MISSING
        if self.maximum_age is not None and at - given_at > self.maximum_age:
            return Reason.CONSENT_EXPIRED
        return None


Requirement = Validation | Consent
"""What an offer demands of a call's fields."""

CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""By so much a consent may lie in the future of our own clock."""

_LONGEST_MOMENT: Final = 40
_FIRST_UNIX, _FIRST_UNIX_MS, _LAST_UNIX_MS = 10**9, 10**12, 10**13
_YEAR_10000: Final = 253_402_300_800
_DIGITS: Final = re.compile(r"\d{10,13}", re.ASCII)


def read_moment(value: object) -> datetime | None:
    """The moment that a value tells, UTC where it names no zone; None where it tells none.

    ISO 8601 as text (a date alone is its midnight), or Unix seconds or milliseconds from 2001 on.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_unix(value)
    if not isinstance(value, str) or len(value) > _LONGEST_MOMENT:
        return None
    text = value.strip()
    if _DIGITS.fullmatch(text):
        return _from_unix(int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _from_unix(number: float) -> datetime | None:
    if not _FIRST_UNIX <= number < _LAST_UNIX_MS:
        return None
    seconds = number / 1000 if number >= _FIRST_UNIX_MS else number
    return datetime.fromtimestamp(seconds, UTC) if seconds < _YEAR_10000 else None


def _less(one: Bound, other: Bound) -> bool:
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one < other
    return isinstance(one, date) and isinstance(other, date) and one < other


def _integer(value: FieldValue) -> Decimal | None:
    number = read_decimal(value)
    return number if number is not None and number == number.to_integral_value() else None


_SIZES: Final[Mapping[ValueType, Callable[[FieldValue], Bound | None]]] = {
    ValueType.STRING: lambda value: Decimal(len(as_text(value))),
    ValueType.INTEGER: _integer,
    ValueType.DECIMAL: read_decimal,
    ValueType.DATE: read_date,
}

_EMAIL: Final = re.compile(r"[^@\s,;<>\"]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_ZIP: Final = re.compile(r"\d{5}(?:-?\d{4})?", re.ASCII)


def _is_phone(value: FieldValue) -> bool:
    return not isinstance(value, bool) and normalise_number(as_text(value), "US") is not None


_SHAPES: Final[Mapping[ValueType, Callable[[FieldValue], bool]]] = {
    ValueType.EMAIL: lambda value: _EMAIL.fullmatch(as_text(value)) is not None,
    ValueType.PHONE: _is_phone,
    ValueType.ZIP: lambda value: _ZIP.fullmatch(as_text(value)) is not None,
    ValueType.STATE: lambda value: as_text(value).upper() in STATES,
    ValueType.BOOLEAN: lambda value: read_flag(value) is not None,
}
