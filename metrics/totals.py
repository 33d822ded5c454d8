"""What several processes have counted, as one: the living, and those that are gone."""

import asyncio
import logging
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

from metrics.cells import OF_THE_LIVING, WORST, BlockName, Cells, PrivateCells, zeros
from metrics.page import PageReader

_AT_ONCE: Final = 200
"""Blocks between two moments for other work: a few milliseconds."""

_ROUNDING: Final = 1e-12

logger = logging.getLogger(__name__)


class Totals:
    """Adds up pages into the cells of a process that counts nothing itself.

    Sums never fall: what a page held is kept when its writer is gone.
    """

    def __init__(self, into: PrivateCells) -> None:
        self._into = into
        self._living: dict[int, PageReader] = {}
        self._foreign: set[PageReader] = set()
        self._departed: dict[BlockName, array[float]] = {}
        self._shown: frozenset[BlockName] = frozenset()

    def join(self, member: int, page: PageReader) -> None:
        """A process counts from now on."""
        self._living[member] = page

    def depart(self, member: int) -> None:
        """A process has ended and counts no more; its page is not looked at again."""
        for name, cells in self._living.pop(member).blocks().items():
            if name.kind not in WORST | OF_THE_LIVING:
                kept = self._departed.get(name)
                self._departed[name] = _sums([cells] if kept is None else [kept, cells])

    async def gather(self) -> None:
        """Bring the cells up to date; gives way to other work now and then."""
        blocks = self._into.blocks()
        for gone in self._shown.difference(blocks):
            self._departed.pop(gone, None)
        self._shown = frozenset(blocks)
        self._tell_foreign()
        for number, (name, cells) in enumerate(blocks.items(), start=1):
            self._bring_up_to_date(name, cells)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _tell_foreign(self) -> None:
        foreign = {page for page in self._living.values() if page.is_foreign}
        if foreign - self._foreign:
            logger.error(
                "A worker runs another version and counts for itself: restart the whole service",
                extra={"action": "metrics_foreign"},
            )
        self._foreign = foreign

    def _bring_up_to_date(self, name: BlockName, cells: "array[float]") -> None:
        counted = list(self._counted(name))
        if name.kind in WORST:
            counted.append(zeros(len(cells)))
            cells[:] = array("d", map(max, zip(*counted, strict=True)))
        elif name.kind in OF_THE_LIVING:
            cells[:] = _sums([*counted, zeros(len(cells))])
        elif counted:
            cells[:] = array("d", map(_risen, cells, _sums(counted)))

    def _counted(self, name: BlockName) -> Iterator[Cells]:
        for page in self._living.values():
            cells = page.blocks().get(name)
            if cells is not None:
                yield cells
        departed = self._departed.get(name)
        if departed is not None:
            yield departed


def _sums(blocks: Sequence[Cells]) -> "array[float]":
    return array("d", map(sum, zip(*blocks, strict=True)))


def _risen(before: float, now: float) -> float:
    """``now``, unless adding in another order has made it smaller than ``before`` by a hair.

    Prometheus takes a counter that falls at all for one that began again.
    """
    return before if 0 < before - now <= _ROUNDING * before else now
