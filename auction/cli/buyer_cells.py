"""The cells of a buyer's call file: times, durations, amounts and numbers as others write them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from auction.domain.decimals import read_decimal
from auction.domain.money import parse_amount
from auction.domain.phone import normalise_number
from auction.domain.reconcile import DIGITS_THAT_COUNT

LONGEST_S: Final = 86_400
"""No call is longer than a day."""

LONGEST_ID: Final = 256
_LONGEST_CELL: Final = 64
_ZERO: Final = Decimal(0)
_CLOCK: Final = re.compile(r"(?:(\d{1,2}):)?(\d{1,4}):([0-5]\d(?:\.\d{1,6})?)", re.ASCII)
_UNIX: Final = re.compile(r"\d{10}(?:\d{3})?(?:\.\d{1,6})?", re.ASCII)
_SPACED_OFFSET: Final = re.compile(r" (?=[+-]\d\d:?\d\d$)", re.ASCII)
_PUNCTUATION: Final = re.compile(r"[ ().\-\u00A0]")
_NOT_DIGITS: Final = re.compile(r"\D", re.ASCII)
_QUOTED_FORMULA: Final = re.compile(r"^'(?=[=+\-@])")
_UTC_NAMES: Final = (" UTC", " GMT", " Z")

_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2100

_DATES: Final = (
    "%m/%d/%Y",
    "%m/%d/%y",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%b %d %Y",
    "%d %b %Y",
    "%d-%b-%Y",
)
_TIMES: Final = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H:%M:%S.%f")
COMMON_FORMATS: Final = tuple(f"{date} {time}" for date in _DATES for time in _TIMES)
"""Beside ISO 8601 and Unix seconds; with slashes the month comes first."""


class CellError(ValueError):
    """A cell can't be read; the message does not quote it, it may hold a caller's number."""


class Times:
    """Reads times; those without a zone are ``zone``'s. ``form`` alone is taken when it is given.

    The format that fitted last is tried first: a file has one.
    """

    def __init__(self, zone: ZoneInfo, form: str | None = None) -> None:
        self._zone = zone
        self._any = form is None
        self._formats: list[str] = list(COMMON_FORMATS) if form is None else [form]

    def read(self, text: str) -> datetime:
        """The moment in UTC. Raises CellError."""
        text = " ".join(text.replace(",", " ").split()) if self._any else text.strip()
        if not text or len(text) > _LONGEST_CELL:
            raise CellError("has no start" if not text else "start is too long for a time")
        moment = self._read(text)
        if moment is None:
            raise CellError("start can't be read as a time: give --time-format")
        if not _FIRST_YEAR <= moment.year < _LAST_YEAR:
            raise CellError(f"start is not in the years {_FIRST_YEAR} to {_LAST_YEAR}")
        local = moment if moment.tzinfo else moment.replace(tzinfo=self._zone)
        return local.astimezone(UTC)

    def _read(self, text: str) -> datetime | None:
        if not self._any:
            return _by_format(text, self._formats[0])
        return _unix(text) or _iso(text) or self._common(text)

    def _common(self, text: str) -> datetime | None:
        named = next((name for name in _UTC_NAMES if text.upper().endswith(name)), None)
        if named is None:
            return self._usual(text)
        bare = text[: -len(named)]
        moment = self._usual(bare) or _iso(bare)
        return None if moment is None else moment.replace(tzinfo=UTC)

    def _usual(self, text: str) -> datetime | None:
        for place, form in enumerate(self._formats):
            moment = _by_format(text, form)
            if moment is not None:
                self._formats.insert(0, self._formats.pop(place))
                return moment
        return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(_SPACED_OFFSET.sub("", text))
    except ValueError:
        return None


def _unix(text: str) -> datetime | None:
    """Seconds, or milliseconds where there are thirteen digits."""
    if _UNIX.fullmatch(text) is None:
        return None
    whole = text.partition(".")[0]
    return datetime.fromtimestamp(float(text) / (1000 if len(whole) == 13 else 1), UTC)


def _by_format(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the caller knows the zone
    except (ValueError, re.error):
        return None


@lru_cache(maxsize=65_536)
def read_duration(text: str) -> Decimal:
    """Seconds from ``128``, ``128.5``, ``2:08`` or ``0:02:08``; an empty cell is no time.

    Raises CellError.
    """
    text = text.strip()
    if not text:
        return _ZERO
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        seconds = read_decimal(text)
    else:
        hours, minutes, rest = clock.groups()
        seconds = int(hours or 0) * 3600 + int(minutes) * 60 + Decimal(rest)
    if seconds is None or not 0 <= seconds <= LONGEST_S:
        raise CellError("duration is no time of seconds, mm:ss or hh:mm:ss up to a day")
    return seconds


@lru_cache(maxsize=65_536)
def read_amount(text: str) -> Decimal:
    """Money by the rules for bids, but 0 and an empty cell are nothing. Raises CellError."""
    text = text.strip()
    bare = text.removeprefix("$")
    if not bare or read_decimal(bare) == 0:
        return _ZERO
    amount = parse_amount(text)
    if amount is None:
        raise CellError("amount is none such as 52 or $52.50, up to 10,000")
    return amount


def read_id(text: str) -> str | None:
    """An id without the quote that keeps a spreadsheet, and our own export, from formulas."""
    return _QUOTED_FORMULA.sub("", text)[:LONGEST_ID] or None


def read_number(text: str, country: str) -> tuple[str | None, str | None]:
    """A caller's number in E.164 and its last ten digits; both None for what is no number."""
    number = normalise_number(_PUNCTUATION.sub("", text), country)
    digits = _NOT_DIGITS.sub("", number or text[:_LONGEST_CELL])[-DIGITS_THAT_COUNT:]
    return number, digits if len(digits) == DIGITS_THAT_COUNT else None


COLUMN_NAMES: Final[dict[str, Sequence[str]]] = {
    "call_id": ("call_id", "id"),
    "caller_id": ("caller_id", "caller", "ani", "from", "phone", "caller_number"),
    "start": ("start", "start_time", "call_start", "started_at", "date", "timestamp"),
    "duration": (
        *("duration", "duration_s", "connected", "connected_duration_s", "seconds"),
        *("billable", "billable_seconds"),
    ),
    # Where there are several, as in our own export, payout is what the source gets of us.
    "amount": ("revenue", "amount", "price", "payout"),
}
"""By which headers a column is known, the likeliest first."""
