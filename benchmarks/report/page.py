"""The HTML page of a report: no script, no reference to anything outside."""

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from benchmarks.report.cells import cell_text, is_figure
from benchmarks.report.model import Cell, Plot, Report, Table
from benchmarks.report.plots import render_svg

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c1f23; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.when { color: #5b6470; margin-top: .2rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #e3e6ea; text-align: left; }
th { font-weight: 600; vertical-align: bottom; } td.figure, th.figure { text-align: right; }
div.wide { overflow-x: auto; } figure { margin: 0 0 1.5rem; }
figure svg { max-width: 100%; height: auto; }
figcaption { font-weight: 600; } ul.notes { padding-left: 1.2rem; }
"""


def render_page(report: Report) -> str:
    """The whole page."""
    return "\n".join(_parts(report)) + "\n"


def _parts(report: Report) -> Iterator[str]:
    title = escape(f"pingpost benchmark: {report.command}")
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    place = report.environment
    yield f'<p class="when">{escape(place.started_at)}, commit {escape(place.commit)}</p>'
    if report.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
        yield f'<ul class="notes">{notes}</ul>'
    yield from (_table(table) for table in report.tables)
    yield from (_plot(plot) for plot in report.plots)
    yield _pairs("Figures", report.figures)
    yield _pairs("Settings", report.settings)
    yield _pairs("Machine", place.machine)
    yield _pairs("Versions", place.versions)
    yield "</body>\n</html>"


def _plot(plot: Plot) -> str:
    caption = f"<figcaption>{escape(plot.title)}</figcaption>"
    return f"<figure>{caption}{render_svg(plot)}</figure>"


def _pairs(title: str, values: Mapping[str, Cell]) -> str:
    return _table(Table(title, ("name", "value"), tuple(values.items()))) if values else ""


def _table(table: Table) -> str:
    figures = {
        number
        for number in range(len(table.columns))
        if all(is_figure(row[number]) or row[number] is None for row in table.rows)
    }
    head = _row("th", table.columns, figures)
    body = "\n".join(_row("td", row, _own_figures(row, figures)) for row in table.rows)
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="wide"><table>\n<thead>{head}</thead>\n'
        f"<tbody>{body}</tbody>\n</table></div>"
    )


def _own_figures(row: tuple[Cell, ...], columns: set[int]) -> set[int]:
    return columns | {number for number, cell in enumerate(row) if is_figure(cell)}


def _row(tag: str, cells: Iterable[Cell], figures: set[int]) -> str:
    def shown(number: int, cell: Cell) -> str:
        mark = ' class="figure"' if number in figures else ""
        return f"<{tag}{mark}>{escape(cell_text(cell))}</{tag}>"

    return f"<tr>{''.join(shown(number, cell) for number, cell in enumerate(cells))}</tr>"
