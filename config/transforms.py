"""The steps that a token's value goes through in a request template, each total on any value.

A step that can't read its value gives None, as a map without a match does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from auction.domain.dates import DateFormat, age_on, date_format, read_date
from auction.domain.flags import read_flag

MAXIMUM_LENGTH: Final = 10_000


class Step(Protocol):
    """One step. ``at``: when the call came, None where no call is at hand."""

    def __call__(self, value: object, at: datetime | None, /) -> object:
        """The value after this step; None stands for missing, before and after."""


@dataclass(frozen=True, slots=True)
class Default:
    """Stands in where there is no value; text as written, never a number."""

    text: str

    def __call__(self, value: object, _at: datetime | None, /) -> object:
        """See ``Step``."""
        return self.text if value is None else value


@dataclass(frozen=True, slots=True)
class Map:
    """Other words for a buyer; without a match there is no value."""

    pairs: Mapping[str, str]

    def __call__(self, value: object, _at: datetime | None, /) -> object:
        """See ``Step``."""
        return None if value is None else self.pairs.get(as_text(value))


@dataclass(frozen=True, slots=True)
class Upper:
    """In capitals."""

    def __call__(self, value: object, _at: datetime | None, /) -> object:
        """See ``Step``."""
        return None if value is None else as_text(value).upper()


@dataclass(frozen=True, slots=True)
class Lower:
    """In small letters."""

    def __call__(self, value: object, _at: datetime | None, /) -> object:
        """See ``Step``."""
        return None if value is None else as_text(value).lower()


@dataclass(frozen=True, slots=True)
class Digits:
    """The digits 0 to 9 alone, as text; no value where there are none."""

    def __call__(self, value: object, _at: datetime | None, /) -> object:
        """See ``Step``."""
        if value is None:
            return None
        return "".join(each for each in as_text(value) if "0" <= each <= "9") or None


@dataclass(frozen=True, slots=True)
class Date:
    """A date written as a buyer wants it. ``read`` None: from any usual form."""

    write: DateFormat
    read: DateFormat | None = None

    def __call__(self, value: object, _at: datetime | None, /) -> object:
        """See ``Step``."""
        day = read_date(value, self.read)
        return None if day is None else self.write.write(day)


@dataclass(frozen=True, slots=True)
class Bool:
    """Yes or no: true and false, or the two words that a buyer wants."""

    yes: str | bool = True
    no: str | bool = False

    def __call__(self, value: object, _at: datetime | None, /) -> object:
        """See ``Step``."""
        flag = read_flag(value)
        return None if flag is None else self.yes if flag else self.no


@dataclass(frozen=True, slots=True)
class Truncate:
    """The first so many characters."""

    length: int

    def __call__(self, value: object, _at: datetime | None, /) -> object:
        """See ``Step``."""
        return None if value is None else as_text(value)[: self.length]


@dataclass(frozen=True, slots=True)
class AgeFromBirthdate:
    """Whole years of age on the day (UTC) the call came. ``read`` None: from any usual form."""

    read: DateFormat | None = None

    def __call__(self, value: object, at: datetime | None, /) -> object:
        """See ``Step``."""
        born = read_date(value, self.read)
        return None if born is None or at is None else age_on(born, at.date())


def as_text(value: object) -> str:
    """A value as the steps read it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _date(arguments: tuple[str, ...]) -> Step:
    return Date(*map(date_format, arguments))


def _bool(arguments: tuple[str, ...]) -> Step:
    if len(arguments) == 1:
        raise ValueError("`bool` takes two words, for yes and for no, or none")
    return Bool(*arguments)


def _truncate(arguments: tuple[str, ...]) -> Step:
    length = int(arguments[0]) if arguments[0].isascii() and arguments[0].isdecimal() else 0
    if not 1 <= length <= MAXIMUM_LENGTH:
        raise ValueError(f"`truncate` takes a length from 1 to {MAXIMUM_LENGTH}")
    return Truncate(length)


def _age(arguments: tuple[str, ...]) -> Step:
    return AgeFromBirthdate(*map(date_format, arguments))


@dataclass(frozen=True, slots=True)
class Known:
    """A step that is written ``name: argument, argument``: how many it takes, and its maker."""

    least: int
    most: int
    make: Callable[[tuple[str, ...]], Step]


KNOWN: Final[Mapping[str, Known]] = {
    "upper": Known(0, 0, lambda _: Upper()),
    "lower": Known(0, 0, lambda _: Lower()),
    "digits": Known(0, 0, lambda _: Digits()),
    "date": Known(1, 2, _date),
    "bool": Known(0, 2, _bool),
    "truncate": Known(1, 1, _truncate),
    "age_from_birthdate": Known(0, 1, _age),
}
"""Every step but ``default`` and ``map``, whose arguments are written in ways of their own."""


def make_step(name: str, arguments: tuple[str, ...]) -> Step:
    """One of ``KNOWN`` with its arguments. Raises ValueError where it can't be made of them."""
    known = KNOWN[name]
    if not known.least <= len(arguments) <= known.most:
        raise ValueError(f"`{name}` takes {_counted(known)}, {len(arguments)} given")
    return known.make(arguments)


def _counted(known: Known) -> str:
    if known.most == 0:
        return "no argument"
    if known.least == known.most:
        return f"{known.most} argument"
    return f"{known.least} to {known.most} arguments"
