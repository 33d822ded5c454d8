"""A call as the checks of thousands of offers see it: whatever they ask for is worked out once."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo

from auction.domain.call import Call, FieldValue
from auction.domain.decimals import read_decimal
from auction.domain.filters import as_text, lookup
from auction.domain.hours import Hours, LocalMoment, local_moment, refusal_at
from auction.domain.reasons import Reason
from auction.domain.usage import Starts
from auction.domain.validation import Requirement
from auction.domain.windows import window_starts

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memo(dict[Key, Value]):
    """A mapping that works out what is asked for the first time."""

    __slots__ = ("_work_out",)

    def __init__(self, work_out: Callable[[Key], Value]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, key: Key) -> Value:
        value = self[key] = self._work_out(key)
        return value


class OpeningHours:
    """Hours that all offers with the same ones share; it hashes by identity, which is quick."""

    __slots__ = ("hours",)

    def __init__(self, hours: Hours) -> None:
        self.hours = hours


class Required:
    """What all offers that demand the same share; it hashes by identity, which is quick."""

    __slots__ = ("requirement",)

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement


class CallView:
    """One call at the moment of its ``received_at``; used by one decision and then dropped.

    By name of a field (or one of ``CALL_FIELDS``), None where it is missing: ``values`` as sent,
    ``texts`` trimmed, ``folded`` for equality, ``numbers`` None also where it is no number.
    ``closed`` tells why hours take no call, ``faults`` what a requirement finds wrong, ``starts``
    the windows of caps in a zone.
    """

    __slots__ = ("call", "closed", "faults", "folded", "numbers", "starts", "texts", "values")

    def __init__(self, call: Call) -> None:
        # Nothing in here leads back to the view: it goes with its decision, not with a collection.
        at = call.received_at
        self.call = call
        self.values: Memo[str, FieldValue | None] = Memo(partial(lookup, call))
        self.texts: Memo[str, str | None] = Memo(partial(_text, self.values))
        self.folded: Memo[str, str | None] = Memo(partial(_fold, self.texts))
        self.numbers: Memo[str, Decimal | None] = Memo(partial(_number, self.values))
        self.faults: Memo[Required, Reason | None] = Memo(partial(_fault, self.values, at))
        self.starts: Memo[ZoneInfo, Starts] = Memo(partial(window_starts, at))
        moments: Memo[ZoneInfo, LocalMoment] = Memo(partial(local_moment, at))
        self.closed: Memo[OpeningHours, Reason | None] = Memo(partial(_closed, moments))


def _text(values: Memo[str, FieldValue | None], field: str) -> str | None:
    value = values[field]
    return None if value is None else as_text(value)


def _fold(texts: Memo[str, str | None], field: str) -> str | None:
    text = texts[field]
    return None if text is None else text.casefold()


def _number(values: Memo[str, FieldValue | None], field: str) -> Decimal | None:
    return read_decimal(values[field])


def _fault(values: Memo[str, FieldValue | None], at: datetime, required: Required) -> Reason | None:
    requirement = required.requirement
    return requirement.fault(values[requirement.field], at)


def _closed(moments: Memo[ZoneInfo, LocalMoment], opening: OpeningHours) -> Reason | None:
    return refusal_at(opening.hours, moments[opening.hours.zone])
