"""The operations on figures: reports, and the pages of offers."""

from typing import Final, Literal

from pydantic import Field

from auction.web.openapi.answers import Answer, Cdr, Destination, Instant, Money
from auction.web.openapi.operation import Operation, Operations
from auction.web.report_request import ReasonsRequest, ReportRequest

Level = Literal["green", "yellow", "red"]
Owner = Literal["offer", "buyer"]


class ReportedFigures(Answer):
    """Counts, money, rates and milliseconds; what a token may not see is absent.

    ``offer_calls`` are decided calls times the offers that they might have gone to, null where they
    were not counted: ``eligible`` and the ``reasons`` of offers that calls were not for,
    ``fixed_terms`` among them. ``previous`` and ``trend`` are there when the period before is
    compared.
    """

    won: int
    answered: int
    completed: int
    converted: int
    answer_rate: float | None
    conversion_rate: float | None
    offer_calls: int | None = None
    eligible: int | None = None
    eligible_rate: float | None = None
    reasons: dict[str, int] | None = None


class ReportPeriod(Answer):
    """A time that is reported."""

    since: Instant = Field(alias="from")
    until: Instant = Field(alias="to")


class ReportRow(ReportedFigures, ReportPeriod):
    """The figures of one offer, buyer, source or campaign in one bucket."""


class Apart(Answer):
    """What is not sold."""

    quality_assurance: list[ReportRow]
    voice_bot: list[ReportRow]
    test: list[ReportRow]


class ReportShown(ReportPeriod):
    """A report; ``denominators`` say what each rate is of what."""

    report: Literal["offers", "buyers", "sources", "campaigns"]
    bucket: Literal["hour", "day", "month", "total"]
    time_zone: str
    currency: str
    compared_with: ReportPeriod | None
    denominators: dict[str, str]
    rows: list[ReportRow]
    totals: ReportedFigures
    apart: Apart


class CapUsage(Answer):
    """A cap in its current window; amounts of revenue are text."""

    owner: Owner
    measure: Literal["calls", "answered", "conversions", "revenue"]
    per: Literal["hour", "day", "month", "total"]
    used: int | Money
    pending: int | Money
    limit: int | Money
    ratio: float
    level: Level
    resets_at: Instant | None


class LiveCalls(Answer):
    """Live calls against their limit."""

    owner: Owner
    live: int
    limit: int | None
    ratio: float | None
    level: Level


class OfferUsage(Answer):
    """How far an offer's limits are used right now."""

    offer: str
    at: Instant
    caps: list[CapUsage]
    concurrency: list[LiveCalls]


class OfferReasonsShown(ReportPeriod):
    """``calls`` = ``won`` + ``untold`` + the sum of ``reasons``, which count by outcome.

    ``untold``: calls whose trace or personal data is no longer kept.
    """

    offer: str
    campaign: str
    calls: int
    eligible: int
    won: int
    untold: int
    reasons: dict[str, int]


class OfferPricing(Answer):
    """What an offer's calls cost."""

    static_price: Money | None
    minimum_bid: Money | None
    maximum_bid: Money | None
    fixed_amount: Money | None
    currency: str


class OfferTotalsShown(Answer):
    """What an offer has come to since ever."""

    calls: int
    answered: int
    completed: int
    converted: int
    revenue: Money


class AverageBid(Answer):
    """The mean of the valid bids of this month."""

    amount: Money | None
    bids: int
    since: Instant


class OfferSummary(OfferUsage):
    """Everything that an offer's page shows."""

    campaign: str
    buyer: str
    enabled: bool
    destination: Destination | None
    pricing: OfferPricing
    totals: OfferTotalsShown
    average_bid: AverageBid
    recent_calls: list[Cdr]


_REPORT: Final = Operation(
    answers={200: ReportShown}, query=ReportRequest, problems=(422,), other_types=("text/csv",)
)
REPORT_OPERATIONS: Final[Operations] = {
    **{
        ("GET", f"/v1/reports/{name}"): _REPORT
        for name in ("offers", "buyers", "sources", "campaigns")
    },
    ("GET", "/v1/reports/offers/{id}/reasons"): Operation(
        answers={200: OfferReasonsShown}, query=ReasonsRequest, problems=(404, 422)
    ),
    ("GET", "/v1/offers/{id}/usage"): Operation(answers={200: OfferUsage}, problems=(404,)),
    ("GET", "/v1/offers/{id}/summary"): Operation(answers={200: OfferSummary}, problems=(404,)),
}
