"""Dates as callers' fields hold them, read and written by formats such as ``%m/%d/%Y``.

Months have their English names whatever the machine's language is.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Final

_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_LONGEST_TEXT: Final = 40
_LONGEST_FORMAT: Final = 40
_PIVOT: Final = 69
"""Two digits from here on are years of the last century, as POSIX reads them."""

_OLDEST: Final = 130
"""Years; nobody is older."""

_DIRECTIVE: Final = re.compile(r"%(-?.?)", re.DOTALL)

_READ: Final[Mapping[str, str]] = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>\d{1,2})",
    "-m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "-d": r"(?P<d>\d{1,2})",
    "B": r"(?P<B>[A-Za-z]{3,9})",
    "b": r"(?P<B>[A-Za-z]{3,9})",
    "%": "%",
}
_WRITE: Final[Mapping[str, Callable[[date], str]]] = {
    "Y": lambda day: f"{day.year:04}",
    "y": lambda day: f"{day.year % 100:02}",
    "m": lambda day: f"{day.month:02}",
    "-m": lambda day: str(day.month),
    "d": lambda day: f"{day.day:02}",
    "-d": lambda day: str(day.day),
    "B": lambda day: _MONTHS[day.month - 1],
    "b": lambda day: _MONTHS[day.month - 1][:3],
    "%": lambda _: "%",
}


@dataclass(frozen=True, slots=True)
class DateFormat:
    """How a date is written: ``%Y %y %m %-m %d %-d %B %b %%`` and text between them."""

    text: str
    _pieces: tuple[str | Callable[[date], str], ...] = field(repr=False, compare=False)
    _pattern: re.Pattern[str] = field(repr=False, compare=False)

    def write(self, day: date) -> str:
        """The date in this format."""
        return "".join(piece if isinstance(piece, str) else piece(day) for piece in self._pieces)

    def read(self, text: str) -> date | None:
        """The date that a trimmed text gives in this format; None: it gives none."""
        match = self._pattern.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
        return None if match is None else _date_of(match.groupdict())


@lru_cache(maxsize=512)
def date_format(text: str) -> DateFormat:
    """A format ready to use. Raises ValueError where it can't be used."""
    if len(text) > _LONGEST_FORMAT:
        raise ValueError(f"a date's format has at most {_LONGEST_FORMAT} characters")
    pieces: list[str | Callable[[date], str]] = []
    pattern, at = "", 0
    for match in _DIRECTIVE.finditer(text):
        name = match[1]
        if name not in _READ:
            raise ValueError(f"`{match[0]}` is not known in a date's format: {_KNOWN}")
        before = text[at : match.start()]
        pieces += [before, _WRITE[name]]
        pattern += re.escape(before) + _READ[name]
        at = match.end()
    pieces.append(text[at:])
    try:
        compiled = re.compile(pattern + re.escape(text[at:]), re.ASCII)
    except re.error:
        raise ValueError(f"the date's format {text!r} names a part twice") from None
    if compiled.groups == 0:
        raise ValueError("a date's format names at least one part, such as %Y-%m-%d")
    return DateFormat(text, tuple(piece for piece in pieces if piece), compiled)


_KNOWN: Final = "write %Y %y %m %-m %d %-d %B %b %%"


def _date_of(parts: Mapping[str, str]) -> date | None:
    """The date of a match; whatever it does not name makes none."""
    year, month, day = _year(parts), _month(parts), parts.get("d")
    if year is None or month is None or day is None:
        return None
    try:
        return date(year, month, int(day))
    except ValueError:
        return None


def _year(parts: Mapping[str, str]) -> int | None:
    if "Y" in parts:
        return int(parts["Y"])
    if "y" not in parts:
        return None
    short = int(parts["y"])
    return short + (1900 if short >= _PIVOT else 2000)


def _month(parts: Mapping[str, str]) -> int | None:
    if "m" in parts:
        return int(parts["m"])
    name = parts.get("B", "").capitalize()
    found = [number for number, full in enumerate(_MONTHS, start=1) if name in (full, full[:3])]
    return found[0] if found else None


USUAL: Final[Sequence[DateFormat]] = tuple(
    date_format(text) for text in ("%Y-%m-%d", "%m/%d/%Y", "%Y/%m/%d", "%m-%d-%Y", "%d.%m.%Y")
)
"""How a date is read where nobody says how: ISO 8601, and months before days but with dots."""

_COMPACT: Final = re.compile(r"(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d)", re.ASCII)
_DAY_OF_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ]\d\d:\d\d.{0,24}", re.ASCII)


def read_date(value: object, written: DateFormat | None = None) -> date | None:
    """The date that a field's value stands for, None where it stands for none.

    ``written`` None: ISO 8601 (with a time of day too, which is dropped), ``YYYYMMDD`` as text or
    number, or one of ``USUAL``.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip() if isinstance(value, str) or 0 < value < 10**8 else ""
    if written is not None:
        return written.read(text)
    compact = _COMPACT.fullmatch(text)
    if compact is not None:
        return _date_of(compact.groupdict())
    moment = _DAY_OF_MOMENT.fullmatch(text)
    text = text if moment is None else moment[1]
    found = (each.read(text) for each in USUAL)
    return next((day for day in found if day is not None), None)


def age_on(birthdate: date, today: date) -> int | None:
    """Whole years of age; None for a date to come or of more than 130 years ago.

    Who was born on 29 February is a year older on 1 March where there is none.
    """
    before_birthday = (today.month, today.day) < (birthdate.month, birthdate.day)
    years = today.year - birthdate.year - before_birthday
    return years if 0 <= years <= _OLDEST and birthdate <= today else None
