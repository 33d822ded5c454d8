"""A call as we recorded it, a row of a buyer's call file, and what comparing them found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from auction.domain.ids import CallId

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class SoldCall:
    """One route to the buyer as we recorded it.

    ``ids`` are those that the buyer may know it by; ``start`` is when it was sent there; durations
    in seconds, None when nobody reported them. ``due`` False: the buyer need not list it (a failed
    attempt, a test).
    """

    call_id: CallId
    attempt: int
    ids: frozenset[str]
    caller: str | None
    start: datetime
    total_s: Decimal | None
    connected_s: Decimal | None
    amount: Decimal
    due: bool = True


@dataclass(frozen=True, slots=True)
class ListedCall:
    """One row of the buyer's file.

    ``caller`` is E.164 and ``digits`` the last ten of what was written, both None for a withheld
    number. None elsewhere: the file does not say. ``due`` False: we need not have it (it lies
    outside the time that is compared).
    """

    line: int
    call_id: str | None = None
    caller: str | None = None
    digits: str | None = None
    start: datetime | None = None
    duration_s: Decimal | None = None
    amount: Decimal | None = None
    due: bool = True


class Finding(Enum):
    """How far both sides agree about a call."""

    MATCHED = "matched"
    DIFFERENT_DURATION = "different_duration"
    DIFFERENT_AMOUNT = "different_amount"
    MISSING_AT_THEM = "missing_at_them"
    MISSING_AT_US = "missing_at_us"


@dataclass(frozen=True, slots=True)
class Row:
    """A call of one side or of both.

    ``is_total``: their duration is not our connected time but our total.
    """

    ours: SoldCall | None
    theirs: ListedCall | None
    findings: tuple[Finding, ...]
    is_total: bool = False

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to settle."""
        return self.findings == (Finding.MATCHED,)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far durations and starts may lie apart.

    ``by_caller`` False: the file names no callers, so that only ids can match.
    """

    duration_s: Decimal = Decimal(2)
    start: timedelta = timedelta(seconds=60)
    by_caller: bool = True


@dataclass(slots=True)
class Sums:
    """What a group of rows comes to."""

    calls: int = 0
    ours: Decimal = _NOTHING
    theirs: Decimal = _NOTHING

    @property
    def difference(self) -> Decimal:
        """How much more the buyer says than we do."""
        return self.theirs - self.ours

    def add(self, row: Row) -> None:
        """Count one row."""
        self.calls += 1
        if row.ours is not None:
            self.ours += row.ours.amount
        if row.theirs is not None:
            self.theirs += row.theirs.amount or _NOTHING


BOTH_DIFFER: Final[tuple[Finding, ...]] = (Finding.DIFFERENT_DURATION, Finding.DIFFERENT_AMOUNT)
GROUPS: Final[tuple[tuple[Finding, ...], ...]] = (
    (Finding.MATCHED,),
    (Finding.DIFFERENT_DURATION,),
    (Finding.DIFFERENT_AMOUNT,),
    BOTH_DIFFER,
    (Finding.MISSING_AT_THEM,),
    (Finding.MISSING_AT_US,),
)
"""Every row belongs to exactly one of these."""


def totals(rows: Iterable[Row]) -> Mapping[tuple[Finding, ...], Sums]:
    """The sums of each group, in the order of ``GROUPS``."""
    sums: dict[tuple[Finding, ...], Sums] = {group: Sums() for group in GROUPS}
    for row in rows:
        sums[row.findings].add(row)
    return sums
