"""The operations on reports and on offers' own pages."""

from typing import Final, Literal

from auction.web.openapi.answers import Answer, Cdr, Destination, Instant, Money
from auction.web.openapi.operation import Operation, Operations
from auction.web.report_request import ReportRequest
from auction.web.reports import REPORTS

Row = dict[str, object]


class FiguresReported(Answer):
    """A report: money as text, rates as shares of 1; ``denominators`` says of what."""

    report: str
    bucket: Literal["hour", "day", "month", "total"]
    time_zone: str
    currency: str
    compared_with: dict[str, Instant] | None
    denominators: Row
    rows: list[Row]
    totals: Row | None
    apart: dict[str, list[Row]]


class Reading(Answer):
    """How much of a limit is used; ``level`` is yellow from 70 %, red from 90 %."""

    owner: str
    limit: int | Money | None
    ratio: float | None
    level: Literal["green", "yellow", "red"]


class CapReading(Reading):
    """A cap in its present window."""

    measure: str
    per: str
    used: int | Money
    pending: int | Money
    resets_at: Instant | None


class ConcurrencyReading(Reading):
    """The calls that are live."""

    live: int


class OfferUsage(Answer):
    """Every limit of an offer and of its buyer."""

    offer: str
    at: Instant
    caps: list[CapReading]
    concurrency: list[ConcurrencyReading]


class OfferSummary(OfferUsage):
    """An offer's page."""

    campaign: str
    buyer: str
    enabled: bool
    destination: Destination | None
    pricing: Row
    totals: Row
    average_bid: Row
    recent_calls: list[Cdr]


REPORT_OPERATIONS: Final[Operations] = {
    ("GET", "/v1/reports/{report}"): Operation(
        answers={200: FiguresReported},
        path={"report": {"type": "string", "enum": list(REPORTS)}},
        query=ReportRequest,
        problems=(404, 422),
        other_types=("text/csv",),
    ),
    ("GET", "/v1/offers/{id}/usage"): Operation(answers={200: OfferUsage}, problems=(404,)),
    ("GET", "/v1/offers/{id}/summary"): Operation(answers={200: OfferSummary}, problems=(404,)),
}
