"""Figures as rows of ``report_figures``, and back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple

import asyncpg

from auction.domain.report_figures import COUNTERS, SUMS, FigureClass, Figures
from storage.arrays import text_columns

_KEY_BITS: Final = 40
_COUNT: Final = (1 << _KEY_BITS) - 1


class Grain(Enum):
    """How fine the buckets of a row are in time, and whether sources are told apart."""

    MINUTE = "minute"
    QUARTER = "quarter"
    DAY = "day"
    SOURCE_QUARTER = "source_quarter"
    SOURCE_DAY = "source_day"


class RowKey(NamedTuple):
    """What no two rows share. ``offer`` and ``buyer`` are empty in rows that count calls.

    ``source`` is empty for calls that name none, and where sources are not told apart.
    """

    grain: str
    bucket: datetime
    campaign: str
    offer: str
    buyer: str
    source: str
    figure_class: str

    def at(self, grain: Grain, bucket: datetime) -> "RowKey":
        """The same with another bucket of time."""
        return self._replace(grain=grain.value, bucket=bucket)


_WRITTEN: Final = (
    *("calls", "unrouted", "eligible", "pinged", "bids", "no_bids", "timeouts", "errors"),
    *("below_minimum", "invalid_bids", "not_awaited", "auction_wins", "static_wins"),
    *("posts_accepted", "posts_rejected", "posts_unknown", "post_errors", "answered", "completed"),
    *("converted", "bid_total", "revenue", "payout", "ping_micros"),
)
_COLUMNS: Final = len(RowKey._fields) + len(_WRITTEN)


def figure_columns(rows: Mapping[RowKey, Figures]) -> list[Sequence[Any]]:
    """The arguments of ``add_figures``, in the order in which rows are locked."""
    ordered = sorted(rows)
    written = [
        (*key, *(getattr(rows[key], name) for name in _WRITTEN), *_packed(rows[key]))
        for key in ordered
    ]
    return text_columns(written, _COLUMNS, len(COUNTERS))


def _packed(figures: Figures) -> Iterable[str]:
    return (pack(getattr(figures, name)) for name in COUNTERS)


def pack(counts: Mapping[int, int]) -> str:
    """Counts by key as the text of an array, each as ``key * 2^40 + count``; see ``add_packed``.

    Counts are modulo 2^40, so that one below 0 takes as many away when it is added.
    """
    items = (key << _KEY_BITS | count & _COUNT for key, count in counts.items() if count)
    return f"{{{','.join(map(str, items))}}}"


def unpack(items: Iterable[int]) -> dict[int, int]:
    """What ``pack`` wrote."""
    return {item >> _KEY_BITS: item & _COUNT for item in items}


def read_figures(row: asyncpg.Record) -> Figures:
    """The sums of a row, its counts by key unpacked where they were asked for."""
    figures = Figures()
    for name in SUMS:
        setattr(figures, name, row[name])
    for name in COUNTERS:
        setattr(figures, name, unpack(row[name] or ()))
    return figures


def class_of(row: asyncpg.Record) -> FigureClass:
    """What a row is reported apart as."""
    return FigureClass(row["class"])
