"""A report as it is shown to one token: as JSON, or as rows of a CSV file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import orjson

from auction.domain.money import render
from auction.domain.reasons import FIXED_TERMS, Reason
from auction.domain.report_figures import FigureClass, Figures
from auction.domain.report_measures import (
    DENOMINATORS,
    OF_AUCTIONS,
    OF_CALLS,
    Measure,
    accounted,
    by_fixed_terms,
    measures,
    trend,
)
from auction.domain.report_question import By, Place, Question, Summed
from auction.domain.report_rosters import Reported
from auction.web.cdr_formats import csv_lines, harmless
from auction.web.report_request import AskedReport
from auction.web.services import Grant

Row = dict[str, object]

_NOT_FOR_BUYERS: Final = frozenset({"payout", "margin"})
_NOT_FOR_SOURCES: Final = frozenset({"revenue", "margin", "reasons", *OF_AUCTIONS})
_OF_ALL_CALLS: Final = frozenset({"offer_calls", "eligible_rate"})
_NOTHING: Final = Figures()
_AMOUNT: Final = re.compile(r"-?\d+\.\d+", re.ASCII)
_APART: Final = [each for each in FigureClass if each is not FigureClass.SOLD]
_REASONS: Final = {int(reason): reason.outcome for reason in Reason}


@dataclass(frozen=True, slots=True)
class Report:
    """What was read; ``before``: of the period before, None unless it is compared."""

    asked: AskedReport
    now: Reported
    before: Reported | None
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
        if grant.buyer is not None and _by_source(report.asked.question):
            # How much a source sends is no buyer's to know, beyond what its offers could take.
            hidden |= _OF_ALL_CALLS
        if grant.source is not None:
            hidden |= _NOT_FOR_SOURCES
        # A month may have been longer: days that this one lacks stand in the totals alone.
        buckets = len(report.asked.question.edges)
        earlier = () if report.before is None else report.before.summed
        before = [each for each in earlier if each.place.bucket < buckets]
        about_offers = report.asked.question.by in {By.OFFER, By.BUYER}
        won_only = grant.source is not None and about_offers
        return cls(report, hidden, won_only, _by_place(report.now.summed), _by_place(before))

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
            calls = self._calls(figure_class, place)
            sums = map(_Sums, figures, calls)
            yield {**self._heading(known), **self._told(*sums)}

    def totals(self) -> Row:
        """The sums of what was sold or offered for sale."""
        return self._told(_Sums.all_of(self.report.now), _Sums.all_of(self.report.before))

    def _calls(self, figure_class: FigureClass, place: Place) -> Iterator[int | None]:
        by = _by(self.report.asked.question)
        for reported in (self.report.now, self.report.before):
            yield 0 if reported is None else reported.calls.of(by, figure_class, place)

    def _heading(self, summed: Summed) -> Row:
        question, place = self.report.asked.question, summed.place
        heading: Row = {_by(question).value: place.name or None}
        if _by(question) is By.OFFER:
            heading |= {"buyer": summed.buyer or None, "campaign": summed.campaign or None}
        edges = [*question.edges, question.until]
        first, until = edges[place.bucket], edges[place.bucket + 1]
        return heading | {"from": _instant(first), "to": _instant(until)}

    def _told(self, now: "_Sums", before: "_Sums") -> Row:
        shown = self._measures(now)
        row: Row = {name: _plain(measure) for name, measure in shown.items()}
        if "reasons" not in self.hidden:
            row["reasons"] = self._reasons(now)
        if self.report.before is None:
            return row
        earlier = self._measures(before)
        return row | {
            "previous": {name: _plain(measure) for name, measure in earlier.items()},
            "trend": {name: trend(shown[name], earlier[name]) for name in shown},
        }

    def _measures(self, sums: "_Sums") -> Mapping[str, Measure]:
        told = measures(sums.figures, sums.offer_calls).items()
        return {name: measure for name, measure in told if name not in self.hidden}

    def _reasons(self, sums: "_Sums") -> dict[str, int]:
        counted = sorted(sums.figures.reasons.items())
        reasons = {_REASONS.get(code, str(code)): count for code, count in counted if count}
        fixed = by_fixed_terms(sums.figures, sums.offer_calls)
        if fixed and "offer_calls" not in self.hidden:
            reasons[FIXED_TERMS] = fixed
        return reasons


@dataclass(frozen=True, slots=True)
class _Sums:
    """What one row, or all of a report, tells."""

    figures: Figures
    counted: int | None

    @property
    def offer_calls(self) -> int | None:
        """None where it is not known."""
        return accounted(self.figures, self.counted)

    @classmethod
    def all_of(cls, reported: Reported | None) -> "_Sums":
        total = Figures()
        if reported is None:
            return cls(total, 0)
        for each in reported.summed:
            if each.figure_class is FigureClass.SOLD:
                total.add(each.figures)
        return cls(total, reported.calls.total())


def _by(question: Question) -> By:
    assert question.by is not None, "a report is by something"
    return question.by


def _by_source(question: Question) -> bool:
    return question.by is By.SOURCE or question.source is not None


def _by_place(summed: Iterable[Summed]) -> dict[tuple[FigureClass, Place], Summed]:
    return {(each.figure_class, each.place): each for each in summed}


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
