"""What else the machine did during a run."""

import psutil

from benchmarks.stack.stack import StackUsage
from benchmarks.stack.usage import Usage


class MachineWatch:
    """How busy the whole machine was between its making and ``stop``."""

    def __init__(self) -> None:
        self._before = self._after = psutil.cpu_times()

    def stop(self) -> None:
        """The run is over."""
        self._after = psutil.cpu_times()

    def others(self, stack: StackUsage, generator: Usage) -> float:
        """The share of all cores, 0 to 1, that was busy with what is no part of the run."""
        spent = [now - then for now, then in zip(self._after, self._before, strict=True)]
        idle = sum(
            getattr(self._after, name, 0.0) - getattr(self._before, name, 0.0)
            for name in ("idle", "iowait", "guest", "guest_nice")
        )
        own_s = stack.total_s + generator.cpu_s
        total_s = sum(spent)
        return min(1.0, max(0.0, (total_s - idle - own_s) / total_s)) if total_s else 0.0
