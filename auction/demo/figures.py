"""What came of a demo, from what the service and the buyers report: pure, over plain data."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from auction.demo.switch import Handled
from auction.domain.reasons import HELD_BACK

Record = Mapping[str, Any]
"""One answer of ``GET /v1/calls/{call_id}``."""

_TIMEOUT = "timeout"
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of ``/metrics``."""

    labels: Mapping[str, str]
    value: float


class Scrape:
    """A scrape, by name."""

    def __init__(self, text: str) -> None:
        """Read the Prometheus text format."""
        self._samples: dict[str, list[Sample]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                line = Sample(sample.labels, sample.value)
                self._samples.setdefault(sample.name, []).append(line)

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series of this name with these labels."""
        return sum(
            sample.value
            for sample in self._samples.get(name, [])
            if labels.items() <= sample.labels.items()
        )

    def labels(self, name: str, label: str) -> list[str]:
        """The values of one label, in order, of the series that are not 0."""
        samples = self._samples.get(name, [])
        return sorted({sample.labels[label] for sample in samples if sample.value})


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One line of calls by outcome; times are those of decisions, in milliseconds."""

    outcome: str
    calls: int
    answered: int
    converted: int
    revenue: Decimal
    payout: Decimal
    p50_ms: float | None
    p99_ms: float | None

    @property
    def margin(self) -> Decimal:
        """What is left of the revenue when the sources are paid."""
        return self.revenue - self.payout


@dataclass(frozen=True, slots=True)
class OfferRow:
    """One line of the offers; times are those of pings, in milliseconds.

    ``failed`` are pings without a usable answer other than timeouts. ``static`` are calls routed at
    a fixed price.
    """

    offer: str
    pings: int
    bids: int
    timeouts: int
    failed: int
    wins: int
    accepted_posts: int
    static: int
    revenue: Decimal
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """Two counts of the same thing, each from another side."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Report:
    """All that a demo shows."""

    currency: str
    outcomes: tuple[OutcomeRow, ...]
    offers: tuple[OfferRow, ...]
    checks: tuple[Check, ...]
    example: Record | None

    @property
    def sound(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


def make_report(
    handled: Sequence[Handled],
    records: Sequence[Record],
    export: Sequence[Mapping[str, str]],
    metrics: Scrape,
    buyers: Mapping[str, Mapping[str, Any]],
) -> Report:
    """The report on a demo whose calls are over.

    ``export`` are the lines of the exported records, ``buyers`` the simulated buyers' counts.
    """
    currencies = {str(record["cdr"]["currency"]) for record in records if record["cdr"]["currency"]}
    return Report(
        currency=min(currencies, default=""),
        outcomes=_outcome_rows(handled, records),
        offers=_offer_rows(records, metrics),
        checks=_checks(handled, records, export, metrics, buyers),
        example=most_telling(records),
    )


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1] if ordered else None


def most_telling(records: Iterable[Record]) -> Record | None:
    """The auctioned and paid call whose offers ended in the most different ways."""

    def telling(record: Record) -> tuple[bool, bool, int, int]:
        cdr, offers = record["cdr"], record["trace"]["offers"]
        outcomes = {offer["outcome"] for offer in offers}
        return cdr["routed_by"] == "auction", bool(cdr["converted"]), len(outcomes), _bids(offers)

    return max((record for record in records if record["trace"]), key=telling, default=None)


def _bids(offers: Sequence[Mapping[str, Any]]) -> int:
    return sum(offer["bid"] is not None for offer in offers)


def read_export(text: str) -> list[dict[str, str]]:
    """The lines of exported records, by column."""
    return list(csv.DictReader(StringIO(text)))


def _outcome_rows(handled: Sequence[Handled], records: Sequence[Record]) -> tuple[OutcomeRow, ...]:
    elapsed = [
        (decision["routed_by"] or "no_route", decision["elapsed_ms"])
        for each in handled
        for decision in (each.decision, *each.further)
        if decision is not None
    ]
    return tuple(
        _outcome_row(
            outcome,
            [each for each in records if (each["cdr"]["routed_by"] or "no_route") == outcome],
            [ms for name, ms in elapsed if name == outcome],
        )
        for outcome in ("auction", "static", "no_route")
    )


def _outcome_row(
    outcome: str, records: Sequence[Record], elapsed_ms: Sequence[float]
) -> OutcomeRow:
    cdrs = [record["cdr"] for record in records]
    return OutcomeRow(
        outcome,
        len(cdrs),
        answered=sum(cdr["answered_at"] is not None for cdr in cdrs),
        converted=sum(bool(cdr["converted"]) for cdr in cdrs),
        revenue=_revenue(cdrs),
        payout=_payout(cdrs),
        p50_ms=percentile(elapsed_ms, 50),
        p99_ms=percentile(elapsed_ms, 99),
    )


def _offer_rows(records: Sequence[Record], metrics: Scrape) -> tuple[OfferRow, ...]:
    offers = sorted({entry["offer"] for record in records for entry in _entries(record)})
    return tuple(_offer_row(offer, records, metrics) for offer in offers)


def _offer_row(offer: str, records: Sequence[Record], metrics: Scrape) -> OfferRow:
    cdrs = [record["cdr"] for record in records if record["cdr"]["offer"] == offer]
    routed = Counter(
        attempt["routed_by"] for attempt in _attempts(records) if attempt["offer"] == offer
    )
    ms = [
        float(entry["ms"])
        for record in records
        for entry in _entries(record)
        if entry["offer"] == offer and entry["ms"] is not None
    ]
    pings = {
        outcome: int(metrics.total("pingpost_pings_total", offer=offer, outcome=outcome))
        for outcome in metrics.labels("pingpost_pings_total", "outcome")
    }
    return OfferRow(
        offer,
        pings=sum(count for outcome, count in pings.items() if outcome not in _NOT_SENT),
        bids=int(metrics.total("pingpost_bids_total", offer=offer)),
        timeouts=pings.get(_TIMEOUT, 0),
        failed=sum(count for outcome, count in pings.items() if outcome in _FAILURES),
        wins=routed["auction"],
        accepted_posts=int(metrics.total("pingpost_posts_total", offer=offer, outcome="accepted")),
        static=routed["static"],
        revenue=_revenue(cdrs),
        p50_ms=percentile(ms, 50),
        p99_ms=percentile(ms, 99),
    )


_NOT_SENT = frozenset(reason.outcome for reason in HELD_BACK)
_FAILURES = frozenset({"error", "malformed_reply", "unreachable", "bad_status", "oversize_reply"})


def _checks(
    handled: Sequence[Handled],
    records: Sequence[Record],
    export: Sequence[Mapping[str, str]],
    metrics: Scrape,
    buyers: Mapping[str, Mapping[str, Any]],
) -> tuple[Check, ...]:
    return (
        _every_call_decided(handled, metrics),
        _accepted_is_won(records, metrics, buyers),
        _revenue_adds_up(records, metrics),
        _export_adds_up(records, export),
        _nobody_was_given_away(buyers),
        _no_call_is_live(metrics),
    )


def _every_call_decided(handled: Sequence[Handled], metrics: Scrape) -> Check:
    counted = int(metrics.total("pingpost_calls_total"))
    decided = sum(each.decision is not None for each in handled)
    text = f"{len(handled)} calls asked, {decided} decisions received, {counted} counted"
    return Check(text, len(handled) == decided == counted)


def _accepted_is_won(
    records: Sequence[Record], metrics: Scrape, buyers: Mapping[str, Mapping[str, Any]]
) -> Check:
    sold = sum(buyer["accepted"] for buyer in buyers.values())
    posted = int(metrics.total("pingpost_posts_total", outcome="accepted"))
    unknown = int(metrics.total("pingpost_posts_total", outcome="unknown"))
    won = sum(attempt["routed_by"] == "auction" for attempt in _attempts(records))
    text = (
        f"{sold} posts accepted say the buyers, {posted} the service "
        f"({unknown} without an answer in time); {won} routes won by auction"
    )
    # A buyer may have accepted what was given up on at that very moment.
    return Check(text, posted == won and posted <= sold <= posted + unknown)


def _revenue_adds_up(records: Sequence[Record], metrics: Scrape) -> Check:
    entries = [
        entry for record in records for entry in record["conversions"] if entry["side"] == "buyer"
    ]
    booked = _sum(entry["amount"] for entry in entries if entry["kind"] == "booked")
    changed = _sum(entry["change"] for entry in entries if entry["kind"] != "booked")
    counted = Decimal(str(metrics.total("pingpost_revenue_total"))).quantize(_CENT)
    revenue = _revenue([record["cdr"] for record in records]).quantize(_CENT)
    text = (
        f"{booked.quantize(_CENT)} revenue booked, {counted} in the metrics; buyers changed "
        f"{changed.quantize(_CENT)} afterwards, {revenue} is left"
    )
    return Check(text, booked.quantize(_CENT) == counted and booked + changed == revenue)


def _export_adds_up(records: Sequence[Record], export: Sequence[Mapping[str, str]]) -> Check:
    cdrs = [record["cdr"] for record in records]
    revenue, payout = _sum(row["revenue"] for row in export), _sum(row["payout"] for row in export)
    text = (
        f"{len(export)} calls exported with {revenue} revenue, {payout} payout, "
        f"{revenue - payout} margin; the records say the same of {len(cdrs)}"
    )
    same = (len(export), revenue, payout) == (len(cdrs), _revenue(cdrs), _payout(cdrs))
    return Check(text, same)


def _nobody_was_given_away(buyers: Mapping[str, Mapping[str, Any]]) -> Check:
    pings = sum(buyer["pings"] for buyer in buyers.values())
    told = sum(buyer["plain_caller_ids"] for buyer in buyers.values())
    refused = sum(buyer["auth_failures"] for buyer in buyers.values())
    text = (
        f"{pings} pings reached the buyers: {told} with a caller's number, "
        f"{refused} with the wrong credentials"
    )
    return Check(text, told == refused == 0)


def _no_call_is_live(metrics: Scrape) -> Check:
    live = int(metrics.total("pingpost_live_calls"))
    return Check(f"{live} calls still hold a line", live == 0)


def _entries(record: Record) -> Sequence[Mapping[str, Any]]:
    entries: Sequence[Mapping[str, Any]] = record["trace"]["offers"] if record["trace"] else ()
    return entries


def _attempts(records: Iterable[Record]) -> Iterator[Mapping[str, Any]]:
    for record in records:
        yield from record["cdr"]["attempts"]


def _revenue(cdrs: Iterable[Mapping[str, Any]]) -> Decimal:
    return _sum(cdr["revenue"] for cdr in cdrs)


def _payout(cdrs: Iterable[Mapping[str, Any]]) -> Decimal:
    return _sum(cdr["payout"] for cdr in cdrs)


def _sum(amounts: Iterable[str | None]) -> Decimal:
    return sum((Decimal(amount or 0) for amount in amounts), Decimal("0.00"))
