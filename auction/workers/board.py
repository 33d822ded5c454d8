"""What each worker has open and that it moves, in memory that all of them see."""

import errno
import mmap
import os
from typing import Final

from metrics.page import make_page

_PLACE_BYTES: Final = 16
_AWAY: Final = 0
_NONE_OPEN: Final = 1
"""Stands in the place of a process without a connection, 2 in that of one with one, and so on."""


class Board:
    """The parent's side: gives each process a place, and clears it when the process has ended."""

    def __init__(self, places: int) -> None:
        size = places * _PLACE_BYTES
        self.fd = make_page(size)
        self._open, self._beats = _halves(mmap.mmap(self.fd, size))
        self._free = set(range(places))

    def give(self) -> int:
        """A place that no other has. Raises OSError when all are taken."""
        if not self._free:
            raise OSError(errno.EAGAIN, "too many processes are on the board")
        place = min(self._free)
        self._free.discard(place)
        return place

    def clear(self, place: int) -> None:
        """Nobody has this place any more."""
        self._open[place] = _AWAY
        self._free.add(place)

    def beats(self, place: int) -> int:
        """How often the process in this place, and those before it, have beaten."""
        return self._beats[place]

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.fd)


class Place:
    """A worker's side: its ``Share`` of the connections."""

    def __init__(self, fd: int, place: int) -> None:
        self._board, self._beats = _halves(mmap.mmap(fd, os.fstat(fd).st_size))
        self._place = place
        self._open = 0
        self._there = False

    def enter(self) -> None:
        """Take connections from now on."""
        self._there = True
        self._show()

    def opened(self) -> None:
        """See ``Share``."""
        self._open += 1
        self._show()

    def closed(self) -> None:
        """See ``Share``."""
        self._open -= 1
        self._show()

    def is_ahead(self) -> bool:
        """See ``Share``."""
        mine = self._board[self._place]
        return any(_AWAY < other < mine for other in self._board.tolist())

    def beat(self) -> None:
        """Tell that this process moves."""
        self._beats[self._place] += 1

    def leave(self) -> None:
        """See ``Share``."""
        self._there = False
        self._show()

    def _show(self) -> None:
        self._board[self._place] = _NONE_OPEN + self._open if self._there else _AWAY


def _halves(memory: mmap.mmap) -> "tuple[memoryview[int], memoryview[int]]":
    """What is open in each place, and how often each has beaten."""
    whole = memoryview(memory).cast("q")
    places = len(whole) // 2
    return whole[:places], whole[places:]
