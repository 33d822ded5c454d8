"""Numbers in a body of any length, line by line: plain text, CSV or newline-delimited JSON."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import orjson

from auction.domain.phone import normalise_number

LONGEST_LINE: Final = 4096

_COLUMNS: Final = frozenset(
    {"number", "phone", "phone_number", "telephone", "caller_id", "caller", "msisdn"}
)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class LineForm(Enum):
    """How a line holds a number; the value is the body's media type."""

    TEXT = "text/plain"
    CSV = "text/csv"
    NDJSON = "application/x-ndjson"


class LineTooLongError(Exception):
    """No line has so many bytes: this is no list of numbers."""


@dataclass(slots=True)
class Lines:
    """Puts lines together from pieces of a body."""

    _rest: bytes = b""
    _begun: bool = False

    def feed(self, piece: bytes) -> Sequence[bytes]:
        """The lines that end in this piece. Raises LineTooLongError."""
        if not self._begun and self._rest + piece:
            self._begun = len(self._rest + piece) >= len(_BYTE_ORDER_MARK)
            piece, self._rest = self._rest + piece, b""
            if self._begun:
                piece = piece.removeprefix(_BYTE_ORDER_MARK)
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE or any(len(each) > LONGEST_LINE for each in lines):
            raise LineTooLongError
        return lines

    def end(self) -> Sequence[bytes]:
        """What comes after the last line's end, when there is anything."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


@dataclass(slots=True)
class NumberReader:
    """Reads the numbers of one body's lines, which come in order.

    ``country`` (ISO alpha-2) is that of numbers without a country code.
    """

    form: LineForm
    country: str
    line: int = 0
    _column: int | None = None
    _faults: list[tuple[int, str]] = field(default_factory=list)

    def read(
        self, lines: Iterable[bytes], keyed: Callable[[str], bytes]
    ) -> tuple[list[bytes], list[tuple[int, str]]]:
        """The numbers, hashed, and the lines that hold none, with what is wrong with them."""
        hashes: list[bytes] = []
        self._faults = []
        for line in lines:
            self.line += 1
            text = self._text_of(line)
            if text is None:
                continue
            number = normalise_number(text, self.country)
            if number is None:
                self._faults.append((self.line, "is no phone number"))
            else:
                hashes.append(keyed(number))
        return hashes, self._faults

    def _text_of(self, line: bytes) -> str | None:
        """Where a number should stand; None for lines that hold none and need none."""
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return None
        if self.form is LineForm.TEXT:
            return text
        return self._cell(text) if self.form is LineForm.CSV else self._member(text)

    def _cell(self, text: str) -> str | None:
        cells = [cell.strip() for cell in next(csv.reader([text]), [])]
        if self._column is None:
            names = [cell.lower() for cell in cells]
            named = next((place for place, name in enumerate(names) if name in _COLUMNS), None)
            self._column = named or 0
            if named is not None:
                return None
        return cells[self._column] if self._column < len(cells) else ""

    def _member(self, text: str) -> str:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return ""
        number = value.get("number") if isinstance(value, dict) else value
        return number if isinstance(number, str) else ""
