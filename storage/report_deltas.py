"""What calls have added to the figures, row by row, counted into sums. No I/O here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

import asyncpg
import orjson

from auction.domain.report_figures import (
    FigureClass,
    Figures,
    Tally,
    TracedOffer,
    count_call,
    count_offer,
)
from auction.domain.terms import BuyerType
from storage.report_rows import Grain, RowKey, floor_to

_QUARTER: Final = timedelta(minutes=15)
_MINUTE: Final = timedelta(minutes=1)
_FIRST: Final = 1
_REPLACED: Final = "replaced"
_OF_DECISIONS: Final = frozenset({"decision", _REPLACED})


class Owner(NamedTuple):
    """Whose an offer was, and what its buyer was."""

    buyer: str
    buyer_type: BuyerType


Owned: TypeAlias = tuple[str, int]
"""An offer in a revision of the marketplace."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A row of ``claim_deltas``; ``lines`` is the trace that it counts or takes out again."""

    row: asyncpg.Record
    revision: int
    lines: Sequence[TracedOffer]

    @classmethod
    def read(cls, row: asyncpg.Record) -> "Delta":
        """The row, its trace read; without one it adds nothing that a trace would tell."""
        if row["trace"] is None:
            return cls(row, row["revision"] or 0, ())
        trace = orjson.loads(row["trace"])
        return cls(row, trace["revision"], trace["offers"])

    def offers(self) -> Iterable[Owned]:
        """The offers that it adds to."""
        if self.row["offer"] is not None:
            yield self.row["offer"], self.revision
        for line in self.lines:
            yield line["offer"], self.revision


@dataclass(slots=True)
class FoldedRows:
    """Sums by minute over all sources, and by quarter of an hour and source."""

    owners: Mapping[Owned, Owner]
    figures: dict[RowKey, Figures] = field(default_factory=dict)

    def count(self, delta: Delta) -> None:
        """Add one row. What belongs to no known call adds nothing: the call is gone."""
        row = delta.row
        if row["received_at"] is None:
            return
        if row["kind"] not in _OF_DECISIONS:
            self._count_fact(delta)
        elif row["trace"] is not None:
            self._count_decision(delta, -1 if row["kind"] == _REPLACED else 1)

    def add_to_days(self, days: Mapping[datetime, datetime]) -> None:
        """Add quarters to the whole days that they belong to."""
        for key, figures in tuple(self.figures.items()):
            first = days.get(key.bucket) if key.grain == Grain.QUARTER.value else None
            if first is not None:
                self._of(key.at(Grain.DAY, first)).add(figures)

    def _count_decision(self, delta: Delta, weight: int) -> None:
        row, attempt = delta.row, delta.row["attempt"]
        if attempt == _FIRST:
            call = FigureClass.of(BuyerType.BUYER, test=row["test"])
            count_call(self._tally(row, "", "", call), delta.lines, weight)
        for line in delta.lines:
            owner = self.owners.get((line["offer"], delta.revision), _NOBODY)
            tally = self._tally_of_offer(row, line["offer"], owner)
            count_offer(tally, line, attempt, weight)

    def _count_fact(self, delta: Delta) -> None:
        row = delta.row
        if row["offer"] is None:
            return
        unknown = Owner(row["buyer"], BuyerType.BUYER)
        owner = self.owners.get((row["offer"], delta.revision), unknown)
        for figures in self._tally_of_offer(row, row["offer"], owner):
            figures.answered += row["answered"]
            figures.completed += row["completed"]
            figures.converted += row["converted"]
            figures.revenue += row["revenue"]
            figures.payout += row["payout"]

    def _tally_of_offer(self, row: asyncpg.Record, offer: str, owner: Owner) -> Tally:
        figure_class = FigureClass.of(owner.buyer_type, test=row["test"])
        return self._tally(row, offer, owner.buyer, figure_class)

    def _tally(
        self, row: asyncpg.Record, offer: str, buyer: str, figure_class: FigureClass
    ) -> Tally:
        campaign, source, at = row["campaign"] or "", row["source"] or "", row["received_at"]
        kind = figure_class.value
        minute = RowKey(_MINUTES, floor_to(at, _MINUTE), campaign, offer, buyer, "", kind)
        quarter = RowKey(_QUARTERS, floor_to(at, _QUARTER), campaign, offer, buyer, source, kind)
        return self._of(minute), self._of(quarter)

    def _of(self, key: RowKey) -> Figures:
        figures = self.figures.get(key)
        if figures is None:
            figures = self.figures[key] = Figures()
        return figures


_MINUTES: Final = Grain.MINUTE.value
_QUARTERS: Final = Grain.QUARTER.value
_NOBODY: Final = Owner("", BuyerType.BUYER)
