"""What a process does with its memory before calls come."""

import ctypes
import gc
from contextlib import suppress

GC_THRESHOLDS = (50_000, 50, 50)
"""Collections are rare: what start-up made is frozen, and a call leaves few cycles behind."""


def freeze_what_is_loaded() -> None:
    """Never look again at what was made so far, and give back what reading it took."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    _give_back_memory()


def _give_back_memory() -> None:
    """What reading a large marketplace took goes back to the system, where glibc keeps it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
