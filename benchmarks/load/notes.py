"""What a reader of a load run has to know before the figures are believed."""

from collections.abc import Iterator
from typing import Final

from benchmarks.load.parts import Found, Part
from benchmarks.report import Environment
from benchmarks.stack.stack import StackOptions

LATE_MS: Final = 5.0
"""A generator that starts calls later than this at p99 shows itself more than the service."""

BUSY: Final = 0.1
"""A machine of which others take more than this share is no place to measure on."""

_TOO_LITTLE: Final = 1000


def load_notes(found: Found, options: StackOptions, environment: Environment) -> Iterator[str]:
    """Conditions, and doubts where there are some."""
    yield (
        f"Service ({options.service.workers} worker(s)), PostgreSQL with fsync, {options.buyers} "
        f"buyers in one process and the load generator shared {environment.machine['cores']} cores."
    )
    yield (
        f"Buyers are the benchmark's own lean ones: plain dialect, every answer after "
        f"{options.delay_ms:g} ms; a call costs them one ping each and the winner a post."
    )
    if found.ramp is not None:
        held = found.ramp.held
        yield (
            "No rate of the ramp held."
            if held is None
            else f"The highest rate that held is {held:.0f} calls/s."
        )
    steps = found.ramp.steps if found.ramp else ()
    measured = (*(part.measured for part in found.parts), *(step.measured for step in steps))
    others = max((each.others_cpu for each in measured), default=0.0)
    if others > BUSY:
        yield busy_note(others)
    for part in found.parts:
        yield from _doubts(part)
    for each in found.failed:
        yield f"{each.title}: FAILED: {' '.join(each.fault.split())}"


def busy_note(others: float) -> str:
    """The warning that others took this share of the machine."""
    return (
        f"The machine was busy with other things: up to {others:.0%} of it. Times are longer than "
        f"they would be alone, and so is CPU time per call, for want of caches."
    )


def _doubts(part: Part) -> Iterator[str]:
    measured = part.measured
    late_ms = measured.lateness.percentile_ms(99)
    if late_ms > LATE_MS:
        yield (
            f"{part.title}: the generator itself was late by {late_ms:.1f} ms at p99. The machine "
            f"is too busy for these latencies to be the service's."
        )
    if measured.result.calls < _TOO_LITTLE:
        calls = measured.result.calls
        yield f"{part.title}: only {calls:,} calls, too few for a p99.9. Take a longer --duration."
