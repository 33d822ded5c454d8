"""What a run of the comparators has to tell, as a report."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.peers.figures import Ratio, Standing, standings
from benchmarks.peers.rounds import PeersOptions, Race, Setting
from benchmarks.report.model import Cell, Environment, Plot, PlotKind, Report, Series, Table

_COLUMNS = (
    "contestant",
    "calls/s",
    "CPU µs",
    "p50 ms",
    "p99 ms",
    "whole ×",
    "whole CPU ×",
    "bare ×",
    "bare CPU ×",
    "faults",
)

_NOTES = (
    "Closed loop on one machine: load generator, buyers, PostgreSQL and the contestant share its "
    "cores: compare within one table only.",
    "Contestants take turns, round by round; figures are medians over the rounds, ratios are "
    "medians of each round's ratio.",
    "whole ×: our whole product's calls/s by the contestant's; bare ×: those of our bare fan-out. "
    "CPU ×: the contestant's CPU per call by ours. Above 1 ours is better.",
    "CPU is that of the contestant's processes, user and system, per call; that of PostgreSQL is "
    "not in it.",
    "Only the product authenticates, checks eligibility and caps, stores each call durably in "
    "three steps, posts it to the winner and keeps a trace; the others only fan out.",
    "faults: answers that did not name the best bid's offer and price, or never came, which count "
    "as no call, and pings missing at the buyer that got fewest.",
)


def make_report(
    options: PeersOptions, races: Sequence[Race], environment: Environment, seconds: float
) -> Report:
    """One table and two plots per setting; ``seconds`` is how long the run took."""
    ranked = [(race, standings(race)) for race in races]
    return Report(
        command="peers",
        settings=_settings(options) | {"took_s": round(seconds, 1)},
        environment=environment,
        figures=dict(_figures(ranked)),
        tables=(*(_table(race, found) for race, found in ranked if found), *_skipped_tables(races)),
        plots=tuple(plot for race, found in ranked for plot in _plots(race, found)),
        notes=_NOTES,
    )


def _settings(options: PeersOptions) -> dict[str, Cell]:
    return {
        "buyers": options.buyers,
        "callers": ", ".join(str(each) for each in options.callers),
        "delay_ms": ", ".join(f"{each:g}" for each in options.delays_ms),
        "rounds": options.rounds,
        "seconds_per_turn": options.seconds,
    }


def _table(race: Race, found: Iterable[Standing]) -> Table:
    return Table(str(race.setting), _COLUMNS, tuple(_row(each) for each in found))


def _row(each: Standing) -> tuple[Cell, ...]:
    return (
        each.name,
        round(each.calls_per_s),
        round(each.cpu_us),
        each.p50_ms,
        each.p99_ms,
        each.whole.speed,
        each.whole.cpu,
        each.bare.speed,
        each.bare.cpu,
        each.wrong + each.not_pinged,
    )


def _skipped_tables(races: Sequence[Race]) -> list[Table]:
    skipped = {each.title: each.reason for race in races for each in race.skipped}
    if not skipped:
        return []
    return [Table("Skipped", ("comparator", "why"), tuple(skipped.items()))]


def _plots(race: Race, found: Sequence[Standing]) -> list[Plot]:
    # A logarithmic axis has no place for nothing.
    shown = [each for each in found if each.calls_per_s and each.cpu_us]
    if not shown:
        return []
    names = tuple(each.name for each in shown)
    speeds = tuple(each.calls_per_s for each in shown)
    costs = tuple(each.cpu_us for each in shown)
    return [
        _bars(f"Throughput, {race.setting}", "calls/s", names, speeds),
        _bars(f"Cost, {race.setting}", "CPU µs per call", names, costs),
    ]


def _bars(title: str, label: str, names: tuple[str, ...], values: tuple[float, ...]) -> Plot:
    series = (Series(label, names, values),)
    return Plot(title, "", label, series, PlotKind.BAR, log_y=True)


def _figures(ranked: Iterable[tuple[Race, Sequence[Standing]]]) -> Iterator[tuple[str, float]]:
    for race, found in ranked:
        place = _place(race.setting)
        for each in found:
            prefix = f"{place}.{each.name}"
            yield f"{prefix}.calls_per_s", each.calls_per_s
            yield f"{prefix}.cpu_us", each.cpu_us
            yield f"{prefix}.p50_ms", each.p50_ms
            yield f"{prefix}.p99_ms", each.p99_ms
            yield f"{prefix}.faults", each.wrong + each.not_pinged
            yield from _ratios(f"{prefix}.whole", each.whole)
            yield from _ratios(f"{prefix}.bare", each.bare)


def _place(setting: Setting) -> str:
    return f"{setting.callers}_callers.{setting.delay_ms:g}_ms"


def _ratios(prefix: str, ratio: Ratio) -> Iterator[tuple[str, float]]:
    if ratio.speed is not None:
        yield f"{prefix}_speed_ratio", ratio.speed
    if ratio.cpu is not None:
        yield f"{prefix}_cpu_ratio", ratio.cpu
