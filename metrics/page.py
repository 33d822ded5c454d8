"""Blocks in memory that another process reads, also after the one that wrote them was killed.

A page is a file without a name. It starts with the layout by which its writer counts, how many
bytes of it are in use, and how often blocks were made or dropped. The blocks follow, each with a
head (kind, length of the label, number of cells), room for the label, and the cells.
"""

import logging
import mmap
import os
import struct
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from metrics.cells import BlockName, Cells, Kind, zeros

PAGE_BYTES: Final = 32 * 1024 * 1024
"""Taken from the machine only as far as it is used: 1.2 KB per offer that has its own series."""

LABEL_BYTES: Final = 80
"""Room for an id of 64 characters and a currency."""

_USE = struct.Struct("=32sQQ")
_HEAD = struct.Struct("=HHI")
_FIRST: Final = _USE.size
_FREE: Final = 0

logger = logging.getLogger(__name__)


def make_page(size: int = PAGE_BYTES) -> int:
    """A file descriptor of a new page, which ``os.close`` gives back."""
    fd = _nameless_file()
    os.truncate(fd, size)
    return fd


class SharedCells:
    """The writer's side, a ``CellStore``; only one process writes to a page.

    ``layout`` (32 bytes) is the same wherever the same is counted in the same cells.
    """

    def __init__(self, fd: int, layout: bytes) -> None:
        self._layout = layout
        self._memory = mmap.mmap(fd, os.fstat(fd).st_size)
        self._bytes = memoryview(self._memory)
        self._cells = self._bytes.cast("d")
        self._end = _FIRST
        self._changes = 0
        self._used: dict[BlockName, tuple[int, int]] = {}
        self._free: defaultdict[int, list[int]] = defaultdict(list)
        self._lock = threading.Lock()
        self._tell()

    def block(self, kind: Kind, label: str, size: int) -> Cells:
        """See ``CellStore``. With the page full, cells that nobody else sees."""
        with self._lock:
            at = self._room(size)
            if at is None:
                logger.error("No room to count %s", kind.name, extra={"action": "metrics_full"})
                return zeros(size)
            name = label.encode()
            first = (at + _HEAD.size + LABEL_BYTES) // 8
            cells = self._cells[first : first + size]
            cells[:] = memoryview(zeros(size))
            self._bytes[at + _HEAD.size : at + _HEAD.size + len(name)] = name
            _HEAD.pack_into(self._memory, at, kind, len(name), size)
            self._used[BlockName(kind, label)] = (at, size)
            self._tell()
            return cells

    def drop(self, kind: Kind, label: str) -> None:
        """See ``CellStore``. Its room goes to a block that is made later."""
        with self._lock:
            dropped = self._used.pop(BlockName(kind, label), None)
            if dropped is None:
                return
            at, size = dropped
            _HEAD.pack_into(self._memory, at, _FREE, 0, size)
            self._free[size].append(at)
            self._tell()

    def _room(self, size: int) -> int | None:
        if self._free[size]:
            return self._free[size].pop()
        at, end = self._end, self._end + _HEAD.size + LABEL_BYTES + 8 * size
        if end > len(self._memory):
            return None
        self._end = end
        return at

    def _tell(self) -> None:
        self._changes += 1
        _USE.pack_into(self._memory, 0, self._layout, self._end, self._changes)


class PageReader:
    """The reader's side; the writer may go on, or be gone. One of another layout shows nothing."""

    def __init__(self, fd: int, layout: bytes) -> None:
        self._layout = layout
        self._memory = mmap.mmap(fd, os.fstat(fd).st_size, access=mmap.ACCESS_READ)
        self._cells = memoryview(self._memory).cast("B").cast("d")
        self._blocks: dict[BlockName, Cells] = {}
        self._changes = 0

    def blocks(self) -> Mapping[BlockName, Cells]:
        """The blocks of this moment, with cells that the writer goes on counting in."""
        layout, end, changes = _USE.unpack_from(self._memory)
        if changes != self._changes:
            self._blocks = dict(self._walk(end)) if layout == self._layout else {}
            self._changes = changes
        return self._blocks

    @property
    def is_foreign(self) -> bool:
        """Whether the writer counts by another layout."""
        layout, _, changes = _USE.unpack_from(self._memory)
        return bool(changes and layout != self._layout)

    def _walk(self, end: int) -> Iterator[tuple[BlockName, Cells]]:
        at = _FIRST
        while at < end:
            kind, length, size = _HEAD.unpack_from(self._memory, at)
            label_at = at + _HEAD.size
            first = (label_at + LABEL_BYTES) // 8
            if kind != _FREE:
                label = self._memory[label_at : label_at + length].decode()
                yield BlockName(Kind(kind), label), self._cells[first : first + size]
            at = 8 * (first + size)


def _nameless_file() -> int:
    in_memory: Callable[[str], int] | None = getattr(os, "memfd_create", None)
    if in_memory is not None:
        return in_memory("pingpost-metrics")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
