"""From turns to one line per contestant: medians, and ratios against ours from the same rounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.peers.comparator import OURS_BARE, OURS_WHOLE
from benchmarks.peers.rounds import Race
from benchmarks.peers.turns import Turn


@dataclass(frozen=True, slots=True)
class Ratio:
    """How ours compares with a contestant; above 1 ours is better. None where ours took no part.

    ``speed``: our calls per second by its; ``cpu``: its CPU per call by ours.
    """

    speed: float | None
    cpu: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One contestant over all rounds: medians of its turns, faults added up."""

    name: str
    title: str
    calls_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    whole: Ratio
    bare: Ratio
    wrong: int
    not_pinged: int


def standings(race: Race) -> list[Standing]:
    """Every contestant, the fastest first."""
    whole, bare = race.turns.get(OURS_WHOLE), race.turns.get(OURS_BARE)
    found = [
        _standing(name, race.titles[name], turns, whole, bare) for name, turns in race.turns.items()
    ]
    return sorted(found, key=lambda each: each.calls_per_s, reverse=True)


def _standing(
    name: str,
    title: str,
    turns: Sequence[Turn],
    whole: Sequence[Turn] | None,
    bare: Sequence[Turn] | None,
) -> Standing:
    return Standing(
        name,
        title,
        calls_per_s=median(turn.calls_per_s for turn in turns),
        cpu_us=median(turn.cpu_us for turn in turns),
        p50_ms=median(turn.p50_ms for turn in turns),
        p99_ms=median(turn.p99_ms for turn in turns),
        whole=ratio(whole, turns),
        bare=ratio(bare, turns),
        wrong=sum(turn.wrong for turn in turns),
        not_pinged=sum(turn.not_pinged for turn in turns),
    )


def ratio(ours: Sequence[Turn] | None, theirs: Sequence[Turn]) -> Ratio:
    """Medians of each round's ratio: what disturbs a round disturbs both."""
    if ours is None:
        return Ratio(None, None)
    return Ratio(
        speed=_median_ratio(ours, theirs, lambda turn: turn.calls_per_s),
        cpu=_median_ratio(theirs, ours, lambda turn: turn.cpu_us),
    )


def _median_ratio(
    above: Sequence[Turn], below: Sequence[Turn], figure: Callable[[Turn], float]
) -> float | None:
    pairs = zip(above, below, strict=True)
    ratios = [figure(high) / figure(low) for high, low in pairs if figure(low)]
    return median(ratios) if ratios else None
