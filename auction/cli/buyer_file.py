"""A buyer's call file: which column is which, and every row read or told to be unreadable."""

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TextIO

from auction.cli.buyer_cells import (
    COLUMN_NAMES,
    CellError,
    Times,
    read_amount,
    read_duration,
    read_id,
    read_number,
)
from auction.domain.tie_out import ListedCall

MAXIMUM_BYTES: Final = 256 * 1024 * 1024
MAXIMUM_ROWS: Final = 1_000_000
TOLD_ROWS: Final = 20
"""How many unreadable rows are named."""

DELIMITERS: Final = (",", ";", "\t", "|")
_STEP: Final = 1 << 16
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Advance = Callable[[int], None]
"""Told how many characters more have been read."""


class BuyerFileError(Exception):
    """The file can't be read; the message says what to do."""


@dataclass(slots=True)
class BuyerFile:
    """What was read. ``columns``: the header that each of our columns was taken from.

    ``bad`` names the first unreadable rows by line, ``bad_count`` counts them all.
    """

    columns: Mapping[str, str]
    calls: list[ListedCall] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    bad_count: int = 0

    def refuse(self, line: int, why: str) -> None:
        """Note a row that can't be read."""
        self.bad_count += 1
        if len(self.bad) < TOLD_ROWS:
            self.bad.append((line, why))


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read. ``columns``: headers that the operator named, by our column."""

    times: Times
    country: str
    columns: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None


def read_buyer_file(path: Path, how: Reading, advance: Advance = lambda _: None) -> BuyerFile:
    """Read a whole file. Raises BuyerFileError when it is none, too large or lacks columns."""
    try:
        encoding = _encoding(path)
        with path.open(encoding=encoding, newline="") as file:
            return _read(file, how, advance)
    except UnicodeDecodeError:
        raise BuyerFileError("the file is no text: save it as CSV in UTF-8") from None
    except OSError as error:
        raise BuyerFileError(f"the file can't be read: {error.strerror}") from None


def _encoding(path: Path) -> str:
    """UTF-8 when all of the file is, else Latin-1; UTF-16 when it says so."""
    if not path.is_file():
        raise BuyerFileError("this is no regular file")
    if path.stat().st_size > MAXIMUM_BYTES:
        raise BuyerFileError(f"the file has more than {MAXIMUM_BYTES >> 20} MB: split it by date")
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        if file.read(2) in _UTF_16:
            return "utf-16"
        file.seek(0)
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def _read(file: TextIO, how: Reading, advance: Advance) -> BuyerFile:
    first = file.readline()
    if not first.strip():
        raise BuyerFileError("the file is empty: its first line must name the columns")
    delimiter = how.delimiter or _sniff(first)
    file.seek(0)
    rows = csv.reader(_counted(file, advance), delimiter=delimiter)
    try:
        header = [name.strip() for name in next(rows)]
    except csv.Error as error:
        raise BuyerFileError(f"the first line can't be read: {error}") from None
    places = _places(header, how.columns)
    found = BuyerFile({ours: header[place] for ours, place in places.items()})
    width = len(header)
    for line, cells in _rows(rows, found):
        if len(cells) != width and not _fits(cells, width, places):
            found.refuse(line, f"has {len(cells)} columns where the header has {width}")
            continue
        try:
            found.calls.append(_call(line, cells, places, how))
        except CellError as error:
            found.refuse(line, str(error))
        if len(found.calls) + found.bad_count > MAXIMUM_ROWS:
            raise BuyerFileError(f"the file has more than {MAXIMUM_ROWS:,} rows: split it by date")
    return found


def _counted(lines: TextIO, advance: Advance) -> Iterator[str]:
    read = 0
    for line in lines:
        read += len(line)
        if read >= _STEP:
            advance(read)
            read = 0
        yield line
    advance(read)


class CsvRows(Protocol):
    """What ``csv.reader`` returns."""

    @property
    def line_num(self) -> int:
        """How many lines have been read."""

    def __next__(self) -> list[str]:
        """The next row. Raises csv.Error."""


def _rows(rows: CsvRows, found: BuyerFile) -> Iterator[tuple[int, list[str]]]:
    """Every row that holds anything, with the line it begins on."""
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            found.refuse(line, f"is not CSV: {error}")
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells


def _sniff(first: str) -> str:
    """The delimiter that gives the header most columns."""
    return max(DELIMITERS, key=lambda each: len(next(csv.reader([first], delimiter=each))))


def _places(header: Sequence[str], named: Mapping[str, str]) -> dict[str, int]:
    """Where each of our columns stands."""
    places = {}
    for ours, known in COLUMN_NAMES.items():
        wanted = [named[ours]] if ours in named else known
        place = _place(header, wanted, exact=ours in named)
        if place is not None:
            places[ours] = place
        elif ours in named:
            raise BuyerFileError(f"there is no column {named[ours]!r}: {_names(header)}")
    if "call_id" not in places and not {"caller_id", "start"} <= places.keys():
        lacking = ", ".join(ours for ours in ("caller_id", "start") if ours not in places)
        raise BuyerFileError(
            f"no column for {lacking} was found: name it, for example "
            f"--column {lacking.partition(',')[0]}=HEADER. {_names(header)}"
        )
    return places


def _place(header: Sequence[str], wanted: Sequence[str], *, exact: bool) -> int | None:
    plain = [_plain(name) for name in header]
    for name in wanted:
        if exact and header.count(name) == 1:
            return header.index(name)
        count = plain.count(_plain(name))
        if count > 1:
            raise BuyerFileError(f"{count} columns are called {name!r}: rename all but one")
        if count:
            return plain.index(_plain(name))
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def _names(header: Sequence[str]) -> str:
    return "the file has " + ", ".join(repr(name[:40]) for name in header[:30])


def _fits(cells: Sequence[str], width: int, places: Mapping[str, int]) -> bool:
    """Whether a row only lacks columns that nobody reads, or has empty ones more."""
    return len(cells) > max(places.values()) and not any(cells[width:])


def _call(line: int, cells: Sequence[str], places: Mapping[str, int], how: Reading) -> ListedCall:
    def cell(ours: str) -> str | None:
        place = places.get(ours)
        return None if place is None else cells[place].strip()

    call_id, start = read_id(cell("call_id") or ""), cell("start")
    duration, amount = cell("duration"), cell("amount")
    if call_id is None and not start:
        raise CellError("has no start" if "start" in places else "has no call_id")
    caller, digits = read_number(cell("caller_id") or "", how.country)
    return ListedCall(
        line=line,
        call_id=call_id,
        caller=caller,
        digits=digits,
        start=how.times.read(start) if start else None,
        duration_s=None if duration is None else read_duration(duration),
        amount=None if amount is None else read_amount(amount),
    )
