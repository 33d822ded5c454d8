"""What a scale run compares: points along three axes, each a stack of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from benchmarks.stack.marketplace import Layout
from benchmarks.stack.stack import StackOptions

USUAL_BUYERS: Final = 10
MOST_IN_FLIGHT: Final = 64
LEAST_IN_FLIGHT: Final = 4


_PLACES: Final = {
    Layout.CAMPAIGNS: ", most in other campaigns",
    Layout.FILTERS: ", most behind filters",
}


class Axis(Enum):
    """What differs between points that are compared."""

    BUYERS = "buyers"
    OFFERS = "offers"
    WORKERS = "workers"
    SERVICES = "services"
    STANDBYS = "standbys"


@dataclass(frozen=True, slots=True)
class ScaleOptions:
    """``in_flight`` calls at once, or where it is None as many as keep 640 pings under way."""

    axes: tuple[Axis, ...] = tuple(Axis)
    buyers: tuple[int, ...] = (1, 5, 10, 50, 200)
    offers: tuple[int, ...] = (10, 1_000, 20_000)
    workers: tuple[int, ...] = (1, 2)
    services: tuple[int, ...] = (1, 2)
    standbys: tuple[int, ...] = (0, 1)
    in_flight: int | None = None
    duration_s: float = 5.0
    warmup_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Point:
    """One stack to measure; ``value`` is where it stands on its axis."""

    axis: Axis
    value: int
    stack: StackOptions
    in_flight: int

    @property
    def layout(self) -> Layout | None:
        """Where other offers stand, for a point on whose axis that matters."""
        return self.stack.layout if self.axis is Axis.OFFERS and _has_others(self.stack) else None

    @property
    def name(self) -> str:
        """For figures."""
        layout = "" if self.layout is None else f"_{self.layout.value}"
        return f"{self.axis.value}_{self.value}{layout}"

    @property
    def title(self) -> str:
        """For people."""
        layout = "" if self.layout is None else _PLACES[self.layout]
        unit = self.axis.value.removesuffix("s") if self.value == 1 else self.axis.value
        return f"{self.value:,} {unit}{layout}"


def scale_points(options: ScaleOptions, base: StackOptions) -> tuple[Point, ...]:
    """The points in the order in which they are measured; ``base`` is what they have in common."""
    makers = {
        Axis.BUYERS: _by_buyers,
        Axis.OFFERS: _by_offers,
        Axis.WORKERS: _by_workers,
        Axis.SERVICES: _by_services,
        Axis.STANDBYS: _by_standbys,
    }
    return tuple(point for axis in options.axes for point in makers[axis](options, base))


def calls_in_flight(options: ScaleOptions, buyers: int) -> int:
    """How many calls at once, so that it is the number of pings that is much the same."""
    if options.in_flight is not None:
        return options.in_flight
    pings = MOST_IN_FLIGHT * USUAL_BUYERS
    return max(LEAST_IN_FLIGHT, min(MOST_IN_FLIGHT, pings // buyers))


def _by_buyers(options: ScaleOptions, base: StackOptions) -> Iterator[Point]:
    for count in options.buyers:
        stack = replace(base, buyers=count, offers=0)
        yield Point(Axis.BUYERS, count, stack, calls_in_flight(options, count))


def _by_offers(options: ScaleOptions, base: StackOptions) -> Iterator[Point]:
    for count in options.offers:
        stack = replace(base, buyers=USUAL_BUYERS, offers=count)
        layouts = tuple(Layout) if _has_others(stack) else (base.layout,)
        for layout in layouts:
            placed = replace(stack, layout=layout)
            yield Point(Axis.OFFERS, count, placed, calls_in_flight(options, USUAL_BUYERS))


def _by_workers(options: ScaleOptions, base: StackOptions) -> Iterator[Point]:
    for count in options.workers:
        service = replace(base.service, workers=count)
        stack = replace(base, buyers=USUAL_BUYERS, offers=0, service=service)
        yield Point(Axis.WORKERS, count, stack, calls_in_flight(options, USUAL_BUYERS))


def _by_services(options: ScaleOptions, base: StackOptions) -> Iterator[Point]:
    for count in options.services:
        stack = replace(base, buyers=USUAL_BUYERS, offers=0, services=count)
        yield Point(Axis.SERVICES, count, stack, calls_in_flight(options, USUAL_BUYERS))


def _by_standbys(options: ScaleOptions, base: StackOptions) -> Iterator[Point]:
    for count in options.standbys:
        stack = replace(base, buyers=USUAL_BUYERS, offers=0, standby=count > 0)
        yield Point(Axis.STANDBYS, count, stack, calls_in_flight(options, USUAL_BUYERS))


def _has_others(stack: StackOptions) -> bool:
    return stack.offers > stack.buyers
