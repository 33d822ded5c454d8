"""CPU time and memory of a process with all its children."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the processes began, and resident memory now, in bytes.

    Memory that processes share is counted once for each of them.
    """

    user_s: float = 0.0
    system_s: float = 0.0
    resident: int = 0

    @property
    def cpu_s(self) -> float:
        """User and system time."""
        return self.user_s + self.system_s

    def since(self, earlier: "Usage") -> "Usage":
        """CPU time from ``earlier`` to now, with the memory of now."""
        return Usage(self.user_s - earlier.user_s, self.system_s - earlier.system_s, self.resident)


def total_of(usages: Iterable[Usage]) -> Usage:
    """The sum over several processes."""
    listed = tuple(usages)
    return Usage(
        sum(each.user_s for each in listed),
        sum(each.system_s for each in listed),
        sum(each.resident for each in listed),
    )


def usage_of(pid: int) -> Usage:
    """Of a process, its descendants, and those of them that have ended; nothing when it is gone."""
    user = system = 0.0
    resident = 0
    for process in _tree(pid):
        with suppress(psutil.Error), process.oneshot():
            times = process.cpu_times()
            # A child that has ended counts with the parent that waited for it.
            user += times.user + times.children_user
            system += times.system + times.children_system
            resident += process.memory_info().rss
    return Usage(user, system, resident)


def _tree(pid: int) -> Iterator[psutil.Process]:
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        yield root
        yield from root.children(recursive=True)
