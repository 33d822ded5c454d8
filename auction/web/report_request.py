"""``GET /v1/reports/…``: which figures are asked for, over which time."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from multidict import MultiMapping
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from auction.domain.report_question import (
    Bucket,
    By,
    Question,
    bucket_edges,
    period_before,
    widened,
)
from auction.web.call_request import Identifier
from auction.web.event_request import read_instant
from auction.web.faults import OWN, faults_of
from auction.web.problems import Fault, invalid
from auction.web.services import Grant
from config.values import TimeZone

MOST_BUCKETS: Final = 1_500
"""About two months of hours."""

MOST_ROWS: Final = 10_000

_A_DAY: Final = timedelta(days=1)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


def _moment(value: object) -> str:
    text = str(value)
    if _DAY.fullmatch(text):
        text = f"{text}T00:00:00Z"
    at = read_instant(text)
    if at is None:
        raise PydanticCustomError(
            OWN, "must be an RFC 3339 time with a zone (a + is written %2B) or a date"
        )
    if not _EARLIEST <= at < _LATEST:
        raise PydanticCustomError(OWN, "must be from 2000 on and before 2200")
    return str(value)


Request = TypeVar("Request", bound=BaseModel)

Moment = Annotated[str, BeforeValidator(_moment)]


class ReportRequest(BaseModel):
    """The query. A date is its midnight in ``time_zone``; without ``from`` it is a day."""

    model_config = ConfigDict(strict=True, extra="forbid")

    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")
    bucket: Literal["hour", "day", "month", "total"] = "total"
    time_zone: TimeZone | None = None
    compare: Literal["previous"] | None = None
    campaign: Identifier | None = None
    offer: Identifier | None = None
    buyer: Identifier | None = None
    source: Identifier | None = None
    format: Literal["json", "csv"] | None = None


class ReasonsRequest(BaseModel):
    """The query of a breakdown of one offer; the moments are as in ``ReportRequest``."""

    model_config = ConfigDict(strict=True, extra="forbid")

    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")
    time_zone: TimeZone | None = None


@dataclass(frozen=True, slots=True)
class AskedReport:
    """What is to be read. ``before`` is None unless the period before is compared.

    ``form`` None: what the client accepts. ``nothing``: the token may see none of it.
    """

    question: Question
    bucket: Bucket
    zone: ZoneInfo
    before: Question | None
    form: str | None
    nothing: bool

    @property
    def by_call(self) -> bool:
        """Whether what calls themselves have is told: it belongs to no offer and no buyer."""
        about_offers = self.question.by in {By.OFFER, By.BUYER}
        return not about_offers and self.question.offer is None and self.question.buyer is None


def read_report_request(
    query: MultiMapping[str], by: By, grant: Grant, now: datetime, zone: ZoneInfo
) -> AskedReport:
    """The query, validated, of what a token may see. ``zone``: that of the marketplace.

    Raises CallerMistakeError (422) with every fault at once.
    """
    asked = _validated(ReportRequest, query)
    zone = zone if asked.time_zone is None else ZoneInfo(asked.time_zone)
    since, until = widened(*_period(asked, now, zone))
    bucket = Bucket(asked.bucket)
    question = Question(
        since,
        until,
        _edges(since, until, bucket, zone),
        by,
        campaign=asked.campaign,
        offer=asked.offer,
        buyer=grant.buyer or asked.buyer,
        source=grant.source or asked.source,
        most=MOST_ROWS + 1,
    )
    others = _other(asked.buyer, grant.buyer) or _other(asked.source, grant.source)
    before = _before(question, bucket, zone) if asked.compare else None
    return AskedReport(question, bucket, zone, before, asked.format, others)


def read_reasons_request(
    query: MultiMapping[str], now: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime]:
    """From when on and until when, validated. ``zone``: that of the marketplace.

    Raises CallerMistakeError (422) with every fault at once.
    """
    asked = _validated(ReasonsRequest, query)
    return _period(asked, now, zone if asked.time_zone is None else ZoneInfo(asked.time_zone))


def _period(
    asked: ReportRequest | ReasonsRequest, now: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime]:
    until = now if asked.until is None else _instant(asked.until, zone)
    since = until - _A_DAY if asked.since is None else _instant(asked.since, zone)
    if since >= until:
        raise invalid(Fault("from", "must be before to"))
    return since, until


def _validated(model: type[Request], query: MultiMapping[str]) -> Request:
    twice = [Fault(name, "must be given once") for name in query if len(query.getall(name)) > 1]
    if twice:
        raise invalid(twice[0])
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None


def _instant(text: str, zone: ZoneInfo) -> datetime:
    if _DAY.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    at = read_instant(text)
    assert at is not None, "the model has read it before"
    return at


def _edges(since: datetime, until: datetime, bucket: Bucket, zone: ZoneInfo) -> list[datetime]:
    edges = bucket_edges(since, until, bucket, zone, MOST_BUCKETS)
    if edges is None:
        raise invalid(
            Fault("bucket", f"cuts the time into more than {MOST_BUCKETS}: ask for less, or larger")
        )
    return edges


def _before(question: Question, bucket: Bucket, zone: ZoneInfo) -> Question:
    since, until = period_before(question.since, question.until, zone)
    return question.over(since, until, _edges(since, until, bucket, zone))


def _other(asked: str | None, bound: str | None) -> bool:
    return asked is not None and bound is not None and asked != bound
