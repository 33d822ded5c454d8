"""Where counts are kept: blocks of numbers, one for each label value of one kind of series."""

import threading
from array import array
from enum import IntEnum
from typing import NamedTuple, Protocol


class Cells(Protocol):
    """Numbers in a row that are read and written in place."""

    def __getitem__(self, at: int, /) -> float:
        """The number there."""

    def __setitem__(self, at: int, number: float, /) -> None:
        """Put a number there."""

    def __len__(self) -> int:
        """How many there are."""


class Kind(IntEnum):
    """What a block counts; its number is how other processes know it."""

    BIDDING = 1
    BREAKER = 2
    CAMPAIGN = 3
    MONEY = 4
    SERVICE = 5
    LAG = 6
    COLLECTIONS = 7
    LOAD = 8
    FLIGHT = 9
    ROUTES = 10


WORST = frozenset({Kind.BREAKER, Kind.LAG, Kind.LOAD})
"""Over several processes the largest counts, of those that live."""

OF_THE_LIVING = frozenset({Kind.FLIGHT})
"""Summed over those that live; all other kinds keep what those that are gone have counted, too."""


class BlockName(NamedTuple):
    """What a block is found by."""

    kind: Kind
    label: str


class CellStore(Protocol):
    """Lends blocks; safe to use from several threads."""

    def block(self, kind: Kind, label: str, size: int) -> Cells:
        """A new block of zeros."""

    def drop(self, kind: Kind, label: str) -> None:
        """Forget a block, if there is one; whoever still writes to it does no harm."""


class PrivateCells:
    """Blocks in this process's own memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: dict[BlockName, array[float]] = {}

    def blocks(self) -> dict[BlockName, "array[float]"]:
        """All blocks of this moment, with the cells themselves."""
        with self._lock:
            return self._blocks.copy()

    def block(self, kind: Kind, label: str, size: int) -> Cells:
        """See ``CellStore``."""
        cells = zeros(size)
        with self._lock:
            self._blocks[BlockName(kind, label)] = cells
        return cells

    def drop(self, kind: Kind, label: str) -> None:
        """See ``CellStore``."""
        with self._lock:
            self._blocks.pop(BlockName(kind, label), None)


def zeros(size: int) -> "array[float]":
    """Numbers of a process's own, all 0."""
    return array("d", bytes(8 * size))
