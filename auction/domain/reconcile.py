"""Our record of the calls that a buyer took against the buyer's own: which are the same calls, and
how far both agree on them.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from auction.domain.nearest import Event, nearest_pairs
from auction.domain.tie_out import Finding, ListedCall, Row, SoldCall, Tolerance

DIGITS_THAT_COUNT: Final = 10
"""Numbers written in other ways still agree in their last ten digits."""

_NOTHING: Final = Decimal(0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def reconcile(
    ours: Sequence[SoldCall], theirs: Sequence[ListedCall], tolerance: Tolerance
) -> tuple[Row, ...]:
    """Match both sides one to one, and compare what matches; by start, then by line.

    A row that names a call we know is that call: of its attempts at this buyer the one that
    converted, else the latest that did not fail, else the latest. The others match by the caller's
    number and the nearest start within the tolerance: as many as can be, then as near as can be.
    """
    pairing = _Pairing(ours, theirs)
    pairing.by_id()
    if tolerance.by_caller:
        pairing.by_caller(tolerance.start)
    rows = [
        *(_compare(ours[each], theirs[other], tolerance) for each, other in pairing.pairs),
        *(
            Row(ours[each], None, (Finding.MISSING_AT_THEM,))
            for each in pairing.ours_left
            if ours[each].due and each not in pairing.told
        ),
        *(
            Row(None, theirs[other], (Finding.MISSING_AT_US,))
            for other in pairing.theirs_left
            if theirs[other].due
        ),
    ]
    return tuple(sorted(rows, key=_place))


def _place(row: Row) -> tuple[datetime, int, str, int]:
    start = row.ours.start if row.ours else row.theirs.start if row.theirs else None
    line = row.theirs.line if row.theirs else 0
    call = (row.ours.call_id, row.ours.attempt) if row.ours else ("", 0)
    return (start or _EPOCH, line, *call)


def _compare(ours: SoldCall, theirs: ListedCall, tolerance: Tolerance) -> Row:
    same_duration = _agree(theirs.duration_s, ours.connected_s, tolerance.duration_s)
    is_total = (
        not same_duration
        and ours.total_s is not None
        and _agree(theirs.duration_s, ours.total_s, tolerance.duration_s)
    )
    same_amount = theirs.amount is None or theirs.amount == ours.amount
    findings = (
        *(() if same_duration else (Finding.DIFFERENT_DURATION,)),
        *(() if same_amount else (Finding.DIFFERENT_AMOUNT,)),
    )
    return Row(ours, theirs, findings or (Finding.MATCHED,), is_total)


def _agree(theirs: Decimal | None, ours: Decimal | None, tolerance_s: Decimal) -> bool:
    """Whether two durations agree; what nobody reported to us was no time at all."""
    return theirs is None or abs(theirs - (ours or _NOTHING)) <= tolerance_s


@dataclass(slots=True)
class _Pairing:
    """Pairs of positions found so far, and the positions that are left on each side.

    ``told``: ours that earned nothing and need no row of their own, as one named their call.
    """

    ours: Sequence[SoldCall]
    theirs: Sequence[ListedCall]
    pairs: list[tuple[int, int]] = field(default_factory=list)
    ours_left: dict[int, None] = field(init=False)
    theirs_left: dict[int, None] = field(init=False)
    told: set[int] = field(default_factory=set)
    _named: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ours_left = dict.fromkeys(range(len(self.ours)))
        self.theirs_left = dict.fromkeys(range(len(self.theirs)))

    def by_id(self) -> None:
        """Pair rows that name a call with that call, whenever it was."""
        known: defaultdict[str, list[int]] = defaultdict(list)
        for position in self.ours_left:
            for known_id in self.ours[position].ids:
                known[known_id].append(position)
        listed: defaultdict[str, list[int]] = defaultdict(list)
        for position in self.theirs_left:
            named = self.theirs[position].call_id
            if named is not None and named in known:
                listed[named].append(position)
                self._named.add(position)
        calls = {call.call_id for call in self.ours}
        # Bids and posts are of one attempt: they come before what names any attempt of a call.
        for named in sorted(listed, key=calls.__contains__):
            free = [position for position in known[named] if position in self.ours_left]
            if named in calls:
                free = self._likeliest(named, free, len(listed[named]))
            self._pair(free, listed[named], None)

    def _likeliest(self, named: str, free: Sequence[int], count: int) -> list[int]:
        """Which attempts so many rows are that name their call."""
        attempts = [position for position in free if self.ours[position].call_id == named]
        self.told.update(each for each in attempts if not self.ours[each].amount)
        return sorted(attempts, key=self._likelihood)[-count:]

    def _likelihood(self, position: int) -> tuple[Decimal, bool, int]:
        call = self.ours[position]
        return call.amount, call.due, call.attempt

    def by_caller(self, within: timedelta) -> None:
        """Pair what is left by number and start; withheld callers by start alone."""
        self._by_key(lambda call: call.caller, lambda row: row.caller, within)
        self._by_key(lambda call: _last_digits(call.caller), lambda row: row.digits, within)
        self._by_key(
            lambda call: call.caller is None or None,
            lambda row: (row.caller is None and row.digits is None) or None,
            within,
        )

    def _by_key(
        self,
        key_of_ours: Callable[[SoldCall], Hashable],
        key_of_theirs: Callable[[ListedCall], Hashable],
        within: timedelta,
    ) -> None:
        """Pair within each group of one key; None is in no group."""
        groups: defaultdict[Hashable, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for position in self.theirs_left:
            row = self.theirs[position]
            key = key_of_theirs(row)
            # A row whose call is taken already is the same call told twice, not another one.
            if key is not None and row.start is not None and position not in self._named:
                groups[key][1].append(position)
        for position in self.ours_left:
            key = key_of_ours(self.ours[position])
            if key in groups:
                groups[key][0].append(position)
        for ours, theirs in groups.values():
            if ours:
                self._pair(ours, theirs, within // _MICROSECOND)

    def _pair(self, ours: Sequence[int], theirs: Sequence[int], within: int | None) -> None:
        left = sorted((_micros(self.ours[each].start), each) for each in ours)
        right = sorted((self._start_of(other, left), other) for other in theirs)
        for first, second in nearest_pairs(left, right, within):
            self.pairs.append((first, second))
            del self.ours_left[first]
            del self.theirs_left[second]

    def _start_of(self, position: int, ours: Sequence[Event]) -> int:
        start = self.theirs[position].start
        if start is not None:
            return _micros(start)
        return ours[0][0] if ours else 0


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _last_digits(number: str | None) -> str | None:
    return None if number is None else number[-DIGITS_THAT_COUNT:]
