"""What calls have added to the figures, row by row, counted into sums. No I/O here."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

import asyncpg
import orjson

from auction.domain.reasons import Reason
from auction.domain.report_figures import (
    FigureClass,
    Figures,
    Tally,
    TracedOffer,
    count_call,
    count_offer,
)
from auction.domain.report_question import QUARTER, floor_to
from auction.domain.terms import BuyerType
from storage.report_rosters import Scope
from storage.report_rows import Grain, RowKey

_MINUTE: Final = timedelta(minutes=1)
logger = logging.getLogger(__name__)

_FIRST: Final = 1
_CODES: Final = {reason.outcome: int(reason) for reason in Reason}
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
        """The row, its trace read; without one that can be read it adds nothing of a trace."""
        if row["trace"] is None:
            return cls(row, row["revision"] or 0, ())
        try:
            trace = orjson.loads(row["trace"])
            return cls(row, trace["revision"], trace["offers"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            # All that comes after it must not wait for it for ever.
            logger.error("A trace can't be read", extra={"action": "fold_reports"})
            return cls(row, 0, ())

    def offers(self) -> Iterable[Owned]:
        """The offers that it adds to."""
        if self.row["offer"] is not None:
            yield self.row["offer"], self.revision
        for line in self.lines:
            yield line["offer"], self.revision


@dataclass(slots=True)
class FoldedRows:
    """Sums by minute, and by quarter of an hour and source; the others are added up from those."""

    owners: Mapping[Owned, Owner]
    figures: dict[RowKey, Figures] = field(default_factory=dict)
    decided: Counter[tuple[Scope, int]] = field(default_factory=Counter)
    """First decisions by the revision that they were made by."""
    _tallies: dict[Scope, dict[Owned, Tally]] = field(default_factory=dict)

    def count(self, delta: Delta) -> None:
        """Add one row. What belongs to no known call adds nothing: the call is gone."""
        row = delta.row
        if row["received_at"] is None:
            return
        if row["kind"] not in _OF_DECISIONS:
            self._count_fact(delta)
        elif row["trace"] is not None:
            self._count_decision(delta, -1 if row["kind"] == _REPLACED else 1)

    def add_to_quarters(self) -> None:
        """Add minutes to the quarters of an hour that they belong to."""
        for key, figures in tuple(self.figures.items()):
            if key.grain == _MINUTES:
                quarter = floor_to(key.bucket, QUARTER)
                self._of(key.at(Grain.QUARTER, quarter)).add(figures)

    def add_to_days(self, days: Mapping[datetime, datetime]) -> None:
        """Add quarters to the whole days that they belong to, by when those begin."""
        for key, figures in tuple(self.figures.items()):
            grain = _DAYS.get(key.grain)
            first = days.get(key.bucket)
            if grain is not None and first is not None:
                self._of(key.at(grain, first)).add(figures)

    def _count_decision(self, delta: Delta, weight: int) -> None:
        attempt, revision, scope = delta.row["attempt"], delta.revision, _scope(delta.row)
        tallies = self._tallies.setdefault(scope, {})
        if attempt == _FIRST:
            calls = tallies.get(_CALLS) or self._tally(scope, _CALLS, _NOBODY)
            count_call(calls, delta.lines, weight)
            self.decided[scope, revision] += weight
        for line in delta.lines:
            owned = (line["offer"], revision)
            tally = tallies.get(owned) or self._tally(scope, owned, _NOBODY)
            count_offer(tally, line, attempt, weight)

    def _count_fact(self, delta: Delta) -> None:
        row = delta.row
        if row["offer"] is None:
            return
        owned, unknown = (row["offer"], delta.revision), Owner(row["buyer"], BuyerType.BUYER)
        for figures in self._tally(_scope(row), owned, unknown):
            figures.answered += row["answered"]
            figures.completed += row["completed"]
            figures.converted += row["converted"]
            figures.revenue += row["revenue"]
            figures.payout += row["payout"]
            for reason, weight in ((row["failed"], 1), (row["failed_before"], -1)):
                if reason is not None:
                    code = _CODES.get(reason, Reason.ATTEMPT_FAILED.value)
                    figures.reasons[code] = figures.reasons.get(code, 0) + weight

    def _tally(self, scope: Scope, owned: Owned, unknown: Owner) -> Tally:
        at, campaign, source, test = scope
        offer, owner = owned[0], self.owners.get(owned, unknown)
        kind = FigureClass.of(owner.buyer_type, test=test).value
        quarter = floor_to(at, QUARTER)
        tally = (
            self._of(RowKey(_MINUTES, at, campaign, offer, owner.buyer, "", kind)),
            self._of(RowKey(_SOURCE_QUARTERS, quarter, campaign, offer, owner.buyer, source, kind)),
        )
        self._tallies.setdefault(scope, {})[owned] = tally
        return tally

    def _of(self, key: RowKey) -> Figures:
        figures = self.figures.get(key)
        if figures is None:
            figures = self.figures[key] = Figures()
        return figures


_MINUTES: Final = Grain.MINUTE.value
_SOURCE_QUARTERS: Final = Grain.SOURCE_QUARTER.value
_DAYS: Final = {
    Grain.QUARTER.value: Grain.DAY,
    Grain.SOURCE_QUARTER.value: Grain.SOURCE_DAY,
}
_NOBODY: Final = Owner("", BuyerType.BUYER)
_CALLS: Final = ("", 0)
"""In the place of an offer: the call itself."""


def _scope(row: asyncpg.Record) -> Scope:
    minute = floor_to(row["received_at"], _MINUTE)
    return minute, row["campaign"] or "", row["source"] or "", row["test"]
