"""A report as it is shown to one token: as JSON, or as rows of a CSV file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import orjson

from auction.domain.money import render
from auction.domain.reasons import Reason
from auction.domain.report_figures import FigureClass, Figures
from auction.domain.report_measures import (
    DENOMINATORS,
    OF_AUCTIONS,
    OF_CALLS,
    Measure,
    measures,
    trend,
)
from auction.domain.report_question import By, Place, Question, Summed
from auction.web.cdr_formats import csv_lines, harmless
from auction.web.report_request import AskedReport
from auction.web.services import Grant

Row = dict[str, object]

_NOT_FOR_BUYERS: Final = frozenset({"payout", "margin"})
_NOT_FOR_SOURCES: Final = frozenset({"revenue", "margin", "reasons", *OF_AUCTIONS})
_NOTHING: Final = Figures()
_AMOUNT: Final = re.compile(r"-?\d+\.\d+", re.ASCII)
_APART: Final = [each for each in FigureClass if each is not FigureClass.SOLD]
_REASONS: Final = {int(reason): reason.outcome for reason in Reason}


@dataclass(frozen=True, slots=True)
class Report:
    """What was read; ``before``: of the period before, None unless it is compared."""

    asked: AskedReport
    now: Sequence[Summed]
    before: Sequence[Summed] | None
    currency: str


def render_report(report: Report, grant: Grant) -> Row:
    """The report: money as text, times in UTC, rates as shares of 1."""
    question, view = report.asked.question, _View.of(report, grant)
    before = report.asked.before
    return {
        "report": f"{_by(question).value}s",
        "from": _instant(question.since),
        "to": _instant(question.until),
        "bucket": report.asked.bucket.value,
        "time_zone": report.asked.zone.key,
        "currency": report.currency,
        "compared_with": before and {"from": _instant(before.since), "to": _instant(before.until)},
        "denominators": DENOMINATORS,
        "rows": list(view.rows(FigureClass.SOLD)),
        "totals": view.totals(),
        "apart": {each.value: list(view.rows(each)) for each in _APART},
    }


def render_csv(report: Report, grant: Grant) -> bytes:
    """Every row of the report, its class first; what is compared stands in columns of its own."""
    view = _View.of(report, grant)
    columns = [*view.headings(), *view.names, *view.compared_names()]
    lines: list[Sequence[object]] = [("class", *columns)]
    for each in FigureClass:
        for row in view.rows(each):
            flat = _flat(row)
            lines.append((each.value, *(_cell(name, flat[name]) for name in columns)))
    return csv_lines(lines)


@dataclass(frozen=True, slots=True)
class _View:
    """Rows of a report without what a token may not see.

    ``won_only``: who was offered a source's calls in vain is not the source's to know.
    """

    report: Report
    hidden: frozenset[str]
    won_only: bool
    now: Mapping[tuple[FigureClass, Place], Summed]
    before: Mapping[tuple[FigureClass, Place], Summed]

    @classmethod
    def of(cls, report: Report, grant: Grant) -> "_View":
        hidden = frozenset() if report.asked.by_call else frozenset(OF_CALLS)
        if grant.buyer is not None:
            hidden |= _NOT_FOR_BUYERS
        if grant.source is not None:
            hidden |= _NOT_FOR_SOURCES
        # A month may have been longer: days that this one lacks stand in the totals alone.
        buckets = len(report.asked.question.edges)
        before = [each for each in report.before or () if each.place.bucket < buckets]
        about_offers = report.asked.question.by in {By.OFFER, By.BUYER}
        won_only = grant.source is not None and about_offers
        return cls(report, hidden, won_only, _by_place(report.now), _by_place(before))

    @property
    def names(self) -> list[str]:
        """What is told of figures, in order."""
        return [name for name in (*measures(_NOTHING), "reasons") if name not in self.hidden]

    def headings(self) -> list[str]:
        """What a row begins with."""
        by = _by(self.report.asked.question)
        return [by.value, *(["buyer", "campaign"] if by is By.OFFER else []), "from", "to"]

    def compared_names(self) -> list[str]:
        """What the columns of a comparison are called."""
        if self.report.before is None:
            return []
        names = [name for name in self.names if name != "reasons"]
        return [*(f"previous_{name}" for name in names), *(f"trend_{name}" for name in names)]

    def rows(self, figure_class: FigureClass) -> Iterator[Row]:
        """The rows of one class by bucket and id; one that was there before stays, at 0."""
        places = {place for kind, place in (*self.now, *self.before) if kind is figure_class}
        for place in sorted(places):
            now = self.now.get((figure_class, place))
            before = self.before.get((figure_class, place))
            known = now or before
            assert known is not None, "a place is of now or of before"
            figures = [_NOTHING if each is None else each.figures for each in (now, before)]
            if self.won_only and not any(each.won for each in figures):
                continue
            yield {**self._heading(known), **self._told(*figures)}

    def totals(self) -> Row:
        """The sums of what was sold or offered for sale."""
        return self._told(_sum(self.report.now), _sum(self.report.before or ()))

    def _heading(self, summed: Summed) -> Row:
        question, place = self.report.asked.question, summed.place
        heading: Row = {_by(question).value: place.name or None}
        if _by(question) is By.OFFER:
            heading |= {"buyer": summed.buyer or None, "campaign": summed.campaign or None}
        edges = [*question.edges, question.until]
        first, until = edges[place.bucket], edges[place.bucket + 1]
        return heading | {"from": _instant(first), "to": _instant(until)}

    def _told(self, figures: Figures, before: Figures) -> Row:
        shown = self._measures(figures)
        row: Row = {name: _plain(measure) for name, measure in shown.items()}
        if "reasons" not in self.hidden:
            row["reasons"] = _reasons(figures)
        if self.report.before is None:
            return row
        earlier = self._measures(before)
        return row | {
            "previous": {name: _plain(measure) for name, measure in earlier.items()},
            "trend": {name: trend(shown[name], earlier[name]) for name in shown},
        }

    def _measures(self, figures: Figures) -> Mapping[str, Measure]:
        told = measures(figures).items()
        return {name: measure for name, measure in told if name not in self.hidden}


def _by(question: Question) -> By:
    assert question.by is not None, "a report is by something"
    return question.by


def _by_place(summed: Iterable[Summed]) -> dict[tuple[FigureClass, Place], Summed]:
    return {(each.figure_class, each.place): each for each in summed}


def _sum(summed: Iterable[Summed]) -> Figures:
    total = Figures()
    for each in summed:
        if each.figure_class is FigureClass.SOLD:
            total.add(each.figures)
    return total


def _reasons(figures: Figures) -> dict[str, int]:
    counted = sorted(figures.reasons.items())
    return {_REASONS.get(code, str(code)): count for code, count in counted if count}


def _flat(row: Mapping[str, object]) -> Mapping[str, object]:
    flat = dict(row)
    for name in ("previous", "trend"):
        compared = flat.pop(name, None)
        if isinstance(compared, dict):
            flat |= {f"{name}_{key}": each for key, each in compared.items()}
    return flat


def _cell(name: str, content: object) -> object:
    if isinstance(content, dict):
        return orjson.dumps(content).decode()
    if not isinstance(content, str) or _AMOUNT.fullmatch(content):
        return content
    return harmless(name, content)


def _plain(measure: Measure) -> object:
    return render(measure) if isinstance(measure, Decimal) else measure


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
