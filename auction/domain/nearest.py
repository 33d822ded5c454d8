"""Pairing moments of two sides with the nearest of the other, one to one."""

from collections.abc import Iterator, Sequence
from typing import Final

Event = tuple[int, int]
"""When (microseconds) and which position."""

_MOST_CELLS: Final = 40_000
"""Among more pairs than this the best are not looked for: the first that fit are taken."""


def nearest_pairs(
    ours: Sequence[Event], theirs: Sequence[Event], within: int | None
) -> Iterator[tuple[int, int]]:
    """Pairs of positions at most ``within`` apart (None: any distance); both sides sorted.

    As many as there can be, and of these with the smallest distance in all; the same for the same
    input.
    """
    if not ours or not theirs:
        return
    if within is None:
        within = max(ours[-1][0], theirs[-1][0]) - min(ours[0][0], theirs[0][0])
    for left, right in _clusters(ours, theirs, within):
        match = _in_order if _is_plain(left, right) else _best
        yield from match(left, right, within)


def _is_plain(left: Sequence[Event], right: Sequence[Event]) -> bool:
    """Whether there is nothing to choose between, or too much."""
    return not 1 < len(left) * len(right) <= _MOST_CELLS


def _clusters(
    ours: Sequence[Event], theirs: Sequence[Event], within: int
) -> Iterator[tuple[list[Event], list[Event]]]:
    """Cut both sides where nothing happens for longer than ``within``: no pair reaches across."""
    left: list[Event] = []
    right: list[Event] = []
    last: int | None = None
    events = [*((event, True) for event in ours), *((event, False) for event in theirs)]
    for event, is_ours in sorted(events):
        if last is not None and event[0] - last > within:
            yield left, right
            left, right = [], []
        (left if is_ours else right).append(event)
        last = event[0]
    yield left, right


def _in_order(
    ours: Sequence[Event], theirs: Sequence[Event], within: int
) -> Iterator[tuple[int, int]]:
    """As many pairs as there can be, each the first that fits."""
    left = right = 0
    while left < len(ours) and right < len(theirs):
        apart = ours[left][0] - theirs[right][0]
        if abs(apart) <= within:
            yield ours[left][1], theirs[right][1]
        left += apart <= within
        right += apart >= -within


def _best(ours: Sequence[Event], theirs: Sequence[Event], within: int) -> Iterator[tuple[int, int]]:
    """As many pairs as there can be, with the smallest distance in all.

    On a line pairs of the best matching never cross, so that what follows a pair does not depend on
    what came before it.
    """
    worth = (within + 1) * (min(len(ours), len(theirs)) + 1)
    best = [[0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]

    def pair(left: int, right: int) -> int:
        apart = abs(ours[left][0] - theirs[right][0])
        return worth - apart + best[left + 1][right + 1] if apart <= within else -1

    for left in range(len(ours) - 1, -1, -1):
        for right in range(len(theirs) - 1, -1, -1):
            skipped = max(best[left + 1][right], best[left][right + 1])
            best[left][right] = max(pair(left, right), skipped)
    left = right = 0
    while left < len(ours) and right < len(theirs):
        if best[left][right] == pair(left, right):
            yield ours[left][1], theirs[right][1]
            left, right = left + 1, right + 1
        elif best[left][right] == best[left + 1][right]:
            left += 1
        else:
            right += 1
