"""The forms in which many CDRs are handed out, and which one is asked for."""

import csv
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from io import StringIO
from typing import Final

import orjson

Cdr = Mapping[str, object]


class CdrFormat(Enum):
    """JSON comes page by page; the others are streams of all that is asked for."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"

    @property
    def media_type(self) -> str:
        """Its Content-Type."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES: Final = {
    CdrFormat.JSON: "application/json",
    CdrFormat.CSV: "text/csv",
    CdrFormat.NDJSON: "application/x-ndjson",
}
_MOST_RANGES: Final = 32

_PLAIN_COLUMNS: Final = (
    *("call_id", "campaign", "source", "dialed_number", "caller_id"),
    *("started_at", "answered_at", "ended_at", "total_duration_s", "connected_duration_s"),
    *("ended_by", "state", "routed_by", "buyer", "offer", "price", "currency", "converted"),
    *("conversion_trigger", "revenue", "payout", "test", "switch", "reason", "quality"),
)
CSV_COLUMNS: Final = (*_PLAIN_COLUMNS, "attempt_count", "attempts")
"""A CDR's keys; of its attempts how many there were, and the whole as JSON."""

_NUMBERS: Final = frozenset({"dialed_number", "caller_id"})
_NUMBER: Final = re.compile(r"\+[\d*]{2,20}", re.ASCII)
_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def accepted_format(accept: str | None) -> CdrFormat:
    """What an Accept header likes best of what there is; JSON when it names none of it."""
    best, best_quality = CdrFormat.JSON, 0.0
    for media_range in (accept or "").split(",")[:_MOST_RANGES]:
        name, *parameters = (part.strip().lower() for part in media_range.split(";"))
        quality = quality_of(parameters)
        for form, media_type in _MEDIA_TYPES.items():
            if name == media_type and quality > best_quality:
                best, best_quality = form, quality
    return best


def render_head(form: CdrFormat) -> bytes:
    """What comes before the first CDR of a stream."""
    return csv_lines([CSV_COLUMNS]) if form is CdrFormat.CSV else b""


def render_cdrs(form: CdrFormat, cdrs: Iterable[Cdr]) -> bytes:
    """CDRs as lines of a stream."""
    if form is CdrFormat.CSV:
        return csv_lines(_csv_row(cdr) for cdr in cdrs)
    return b"".join(orjson.dumps(cdr, option=orjson.OPT_APPEND_NEWLINE) for cdr in cdrs)


def quality_of(parameters: Iterable[str]) -> float:
    """How much a media range is liked, 0 to 1: the ``q`` of its parameters."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return _read_quality(value.strip())
    return 1.0


def _read_quality(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](\.\d{0,3})?", text, re.ASCII) else 0.0


def csv_lines(rows: Iterable[Iterable[object]]) -> bytes:
    """Rows as lines of a CSV file."""
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _csv_row(cdr: Cdr) -> list[object]:
    attempts = cdr["attempts"]
    count = len(attempts) if isinstance(attempts, list) else 0
    cells = [_cell(name, cdr[name]) for name in _PLAIN_COLUMNS]
    return [*cells, count, orjson.dumps(attempts).decode()]


def _cell(name: str, value: object) -> object:
    if isinstance(value, str):
        return harmless(name, value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def harmless(name: str, text: str) -> str:
    """Text that no spreadsheet takes for a formula; telephone numbers stay as they are."""
    if not text.startswith(_STARTS_A_FORMULA):
        return text
    return text if name in _NUMBERS and _NUMBER.fullmatch(text) else f"'{text}"
