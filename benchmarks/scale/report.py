"""The report of a scale run: each point against the first of its axis."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks.load.memory import MIB
from benchmarks.load.notes import BUSY, busy_note
from benchmarks.load.report import stack_settings
from benchmarks.report import Cell, Environment, Plot, PlotKind, Report, Series, Table
from benchmarks.scale.measuring import Measured
from benchmarks.scale.points import USUAL_BUYERS, Axis, ScaleOptions
from benchmarks.stack.stack import StackOptions


@dataclass(frozen=True, slots=True)
class Row:
    """What is compared of one point; ``ratio`` is its CPU time per call against the first's.

    ``step_us`` is what one more on the axis costs a call, from the point before to this one.
    """

    title: str
    name: str
    value: int
    in_flight: int
    calls_per_s: float
    service_us: float
    database_us: float
    p50_ms: float
    p99_ms: float
    memory_mib: float
    ratio: float
    step_us: float | None


_COLUMNS = (
    *("", "in flight", "calls/s", "service µs", "ratio"),
    *("PG µs", "p50 ms", "p99 ms", "MiB"),
)
_BY_THROUGHPUT = frozenset({Axis.WORKERS, Axis.SERVICES, Axis.STANDBYS})
_STEP_COLUMN = "µs per buyer more"
_TITLES = {
    Axis.BUYERS: "Cost by buyers asked per call",
    Axis.OFFERS: f"Cost by configured offers, of which {USUAL_BUYERS} are eligible",
    Axis.WORKERS: "Cost and throughput by workers",
    Axis.SERVICES: "Cost and throughput by services on one PostgreSQL",
    Axis.STANDBYS: "Cost and throughput without and with a synchronous standby",
}


def make_scale_report(
    measured: Sequence[Measured], options: ScaleOptions, base: StackOptions, place: Environment
) -> Report:
    """Tables and plots by axis; points without a measurement are named in the notes."""
    by_axis = {axis: rows_of(measured, axis) for axis in options.axes}
    rows = [(axis, each) for axis, each in by_axis.items() if each]
    return Report(
        command="scale",
        settings=_settings(options, base),
        environment=place,
        figures=dict(figure for axis, each in rows for figure in _figures(axis, each)),
        tables=tuple(_table(axis, each) for axis, each in rows),
        plots=tuple(_plot(axis, each) for axis, each in rows),
        notes=tuple(_notes(measured, place)),
    )


def rows_of(measured: Sequence[Measured], axis: Axis) -> tuple[Row, ...]:
    """The points of one axis that were measured, in their order."""
    rows: list[Row] = []
    for each in measured:
        if each.point.axis is axis and each.measurement is not None:
            rows.append(_row(each, rows))
    return tuple(rows)


def _row(each: Measured, before: Sequence[Row]) -> Row:
    point, measurement = each.point, each.measurement
    assert measurement is not None, "only measured points have rows"
    cpu_us = measurement.service_cpu_us
    return Row(
        title=point.title,
        name=point.name,
        value=point.value,
        in_flight=point.in_flight,
        calls_per_s=measurement.calls_per_s,
        service_us=cpu_us,
        database_us=measurement.cpu_us(measurement.usage.database),
        p50_ms=measurement.latency.percentile_ms(50),
        p99_ms=measurement.latency.percentile_ms(99),
        memory_mib=measurement.usage.service.resident / MIB,
        ratio=cpu_us / before[0].service_us if before and before[0].service_us else 1.0,
        step_us=_step_us(point.value, cpu_us, before),
    )


def _step_us(value: int, cpu_us: float, before: Sequence[Row]) -> float | None:
    if not before or before[-1].value >= value:
        return None
    return (cpu_us - before[-1].service_us) / (value - before[-1].value)


def _table(axis: Axis, rows: Sequence[Row]) -> Table:
    steps = axis is Axis.BUYERS
    columns = (*_COLUMNS, _STEP_COLUMN) if steps else _COLUMNS
    cells = ((*_cells(row), row.step_us) if steps else _cells(row) for row in rows)
    return Table(_TITLES[axis], columns, tuple(cells))


def _cells(row: Row) -> tuple[Cell, ...]:
    return (
        *(row.title, row.in_flight, row.calls_per_s, row.service_us, row.ratio),
        *(row.database_us, row.p50_ms, row.p99_ms, row.memory_mib),
    )


def _figures(axis: Axis, rows: Sequence[Row]) -> Iterator[tuple[str, float]]:
    for row in rows:
        yield f"{row.name}.service_cpu_us_per_call", round(row.service_us, 1)
        yield f"{row.name}.calls_per_s", round(row.calls_per_s, 1)
        yield f"{row.name}.cpu_ratio", round(row.ratio, 3)
        yield f"{row.name}.memory_mib", round(row.memory_mib, 1)
        if axis is Axis.BUYERS and row.step_us is not None:
            yield f"{row.name}.us_per_one_more", round(row.step_us, 2)
        if axis in _BY_THROUGHPUT:
            yield f"{row.name}.database_cpu_us_per_call", round(row.database_us, 1)
            yield f"{row.name}.throughput_ratio", round(row.calls_per_s / rows[0].calls_per_s, 3)


def _plot(axis: Axis, rows: Sequence[Row]) -> Plot:
    if axis is Axis.BUYERS:
        series = Series("", tuple(float(row.value) for row in rows), _costs(rows))
        return Plot(_TITLES[axis], "buyers asked per call", "service µs per call", (series,))
    series = Series("", tuple(row.title for row in rows), _costs(rows))
    return Plot(_TITLES[axis], "", "service µs per call", (series,), PlotKind.BAR)


def _costs(rows: Sequence[Row]) -> tuple[float, ...]:
    return tuple(row.service_us for row in rows)


def _notes(measured: Sequence[Measured], place: Environment) -> Iterator[str]:
    yield ("CPU time is the service's own, per call; the ratio is against the first of its table.")
    yield (
        f"Every point is a service, a PostgreSQL and buyers of its own, one after the other, on "
        f"{place.machine['cores']} cores that they share with the load generator."
    )
    others = max((each.measurement.others_cpu for each in measured if each.measurement), default=0)
    if others > BUSY:
        yield busy_note(others)
    for each in measured:
        if each.fault is not None:
            yield f"{each.point.title}: FAILED: {_brief(each.fault)}"


def _brief(fault: str) -> str:
    """What happened and the last word on it; between them may be much of a log."""
    lines = fault.splitlines()
    return " ".join(dict.fromkeys((lines[0], lines[-1])))


def _settings(options: ScaleOptions, base: StackOptions) -> dict[str, Cell]:
    kept = ("delay_ms", "transport", "tls")
    settings: dict[str, Cell] = {name: stack_settings(base)[name] for name in kept}
    for name, value in asdict(options).items():
        listed = isinstance(value, tuple)
        settings[name] = ", ".join(_text(each) for each in value) if listed else value
    return settings


def _text(value: object) -> str:
    return str(value.value) if isinstance(value, Axis) else str(value)
