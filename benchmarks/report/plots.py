"""Plots as SVG that stands in a page without a reference to anything outside it."""

import re
from io import StringIO
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.report.model import Plot, PlotKind, Series

_SIZE_INCHES: Final = (7.2, 3.6)
_NO_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}
_PROLOGUE: Final = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
_NAMESPACED_LINK: Final = re.compile(r"\sxmlns:xlink=\"[^\"]*\"")
_MOST_MARKED: Final = 40
_ROOM_ABOVE: Final = 0.12


def render_svg(plot: Plot) -> str:
    """One ``<svg>`` element; the same plot gives the same text."""
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    (_draw_lines if plot.kind is PlotKind.LINE else _draw_bars)(axes, plot)
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    axes.grid(visible=True, axis="y", alpha=0.3)
    if len(plot.series) > 1 and any(series.name for series in plot.series):
        axes.legend(frameon=False, fontsize="small")
    text = StringIO()
    # Ids of one plot must not be those of another on the same page.
    with mpl.rc_context({"svg.hashsalt": plot.title, "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata=_NO_METADATA)
    return _inline(text.getvalue())


def _inline(svg: str) -> str:
    """Without XML declaration and document type, which stand at the start of a file only."""
    return _NAMESPACED_LINK.sub("", _PROLOGUE.sub("", svg, count=1)).replace("xlink:href", "href")


def _draw_lines(axes: Axes, plot: Plot) -> None:
    for series in plot.series:
        marker = "o" if len(series.x) <= _MOST_MARKED else ""
        axes.plot(_numbers(series), series.y, label=series.name, marker=marker, markersize=3)
    _scale(axes, plot)


def _scale(axes: Axes, plot: Plot) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    if plot.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(plain)
    if plot.log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(plain)
    else:
        axes.margins(y=_ROOM_ABOVE)
        axes.set_ylim(bottom=0)


def _draw_bars(axes: Axes, plot: Plot) -> None:
    names = list(dict.fromkeys(str(name) for series in plot.series for name in series.x))
    width = 0.8 / max(len(plot.series), 1)
    for number, series in enumerate(plot.series):
        offset = (number - (len(plot.series) - 1) / 2) * width
        places = [names.index(str(name)) + offset for name in series.x]
        bars = axes.bar(places, series.y, width, label=series.name)
        axes.bar_label(bars, fmt="%.4g", fontsize="x-small", padding=2)
    axes.set_xticks(range(len(names)), names, rotation=15 if len(names) > 4 else 0)
    _scale(axes, plot)


def _numbers(series: Series) -> list[float]:
    return [float(value) for value in series.x]
