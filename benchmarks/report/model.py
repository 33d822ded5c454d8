"""What a run has to tell: figures, tables and plots, as plain data for JSON and HTML."""

from dataclasses import dataclass, field
from enum import Enum

Cell = str | int | float | None


class PlotKind(Enum):
    """How a plot's series are drawn."""

    LINE = "line"
    BAR = "bar"


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one group of bars; ``x`` are numbers for lines, names for bars."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture; labels name the unit."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    kind: PlotKind = PlotKind.LINE
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; a column's name tells its unit."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and on what a run was made."""

    commit: str
    started_at: str
    machine: dict[str, str | int | float]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """One run of one command. ``figures`` are the numbers that are compared between runs."""

    command: str
    settings: dict[str, Cell]
    environment: Environment
    figures: dict[str, float]
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = field(default=())
