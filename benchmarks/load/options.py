"""What ``python -m benchmarks load`` is to measure."""

from dataclasses import dataclass
from typing import Final

DEFAULT_IN_FLIGHT: Final = 64
DEFAULT_RATE: Final = 300.0


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Parts of a run, one after the other: each of ``in_flight``, each of ``rates``, the ramp.

    ``limit_ms`` is the overhead that the ramp's rates may have at p99; each lasts ``step_s``.
    """

    in_flight: tuple[int, ...] = (DEFAULT_IN_FLIGHT,)
    rates: tuple[float, ...] = (DEFAULT_RATE,)
    ramp: bool = True
    duration_s: float = 10.0
    warmup_s: float = 3.0
    events: bool = False
    sample: int = 200
    ramp_from: float = 150.0
    limit_ms: float = 20.0
    step_s: float = 4.0
