"""What a load generator is told, and what it tells: plain data that goes over a pipe as JSON."""

from dataclasses import dataclass, field

AUCTIONED = "auction"
"""The outcome that calls of a run are to have."""

WRONG = "wrong"
"""The outcome of a call that was decided, but not as expected."""

UNANSWERED = "unanswered"
"""The outcome of a call whose answer had not come when the run was over."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """One run against ``port`` of 127.0.0.1, and ``other_ports`` in turn.

    Either ``rate``, calls a second on a fixed schedule, or ``in_flight``, so many calls at once,
    each followed by another. ``run`` makes the ids of its calls unlike those of other runs. With
    ``events`` every routed call is answered after ``answered_after_s`` and ended as long after.
    ``expected`` are pieces that every decision by auction must hold, or its outcome is ``wrong``.
    ``sample`` is how many calls are named in the result, spread over the run.
    """

    port: int
    token: str
    run: str
    duration_s: float
    rate: float | None = None
    in_flight: int | None = None
    path: str = "/v1/calls"
    events: bool = False
    answered_after_s: float = 0.5
    expected: tuple[str, ...] = ()
    sample: int = 0
    timeout_ms: int = 4000
    connections: int = 4000
    patience_s: float = 5.0
    most_unanswered: int = 10_000
    other_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeline:
    """One entry for each second of a run: calls answered in it, and their decision times."""

    answered: tuple[int, ...] = ()
    p50_ms: tuple[float, ...] = ()
    p99_ms: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of a run. Histograms are in microseconds, encoded.

    ``latency`` is from each call's intended start to its whole answer, ``lateness`` from intended
    to real start, ``event_latency`` that of events. ``seconds`` is from the first intended start
    to the last answer. ``example`` is an answer that was not as expected. ``overloaded``: the run
    was broken off with too many calls unanswered. ``sampled``: call ids and latencies in ms.
    """

    outcomes: dict[str, int]
    events: dict[str, int]
    latency: str
    lateness: str
    event_latency: str
    seconds: float
    peak_in_flight: int
    example: str | None = None
    overloaded: bool = False
    sampled: tuple[tuple[str, float], ...] = ()
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def calls(self) -> int:
        """All that were sent."""
        return sum(self.outcomes.values())

    @property
    def auctioned(self) -> int:
        """Those that were routed by an auction."""
        return self.outcomes.get(AUCTIONED, 0)
