"""``GET /v1/calls``: which calls are asked for, and the token that a page ends with."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from multidict import MultiMapping
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from auction.domain.call_list import CallFilter, CallOutcome, CallPlace
from auction.domain.ids import BuyerId, CallId, CampaignId, OfferId
from auction.web.call_request import LONGEST_NAME, Identifier
from auction.web.event_request import read_instant
from auction.web.faults import OWN, faults_of
from auction.web.problems import Fault, invalid
from auction.web.services import Grant

MOST_AT_ONCE: Final = 1000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_COUNT: Final = re.compile(r"\d{1,4}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{12,720}", re.ASCII)
_MICROS_BYTES: Final = 8
_NONE: Final = CallFilter(since=_EPOCH, until=_EPOCH)


def write_place(place: CallPlace) -> str:
    """A place as an opaque url-safe text."""
    micros = (place.received_at - _EPOCH) // _MICROSECOND
    plain = micros.to_bytes(_MICROS_BYTES, signed=True) + place.call_id.encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def read_place(text: str) -> CallPlace | None:
    """What ``write_place`` wrote; None for anything else."""
    if _TOKEN.fullmatch(text) is None:
        return None
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        micros = int.from_bytes(plain[:_MICROS_BYTES], signed=True)
        call_id = plain[_MICROS_BYTES:].decode()
        place = CallPlace(_EPOCH + micros * _MICROSECOND, CallId(call_id))
    except (binascii.Error, ValueError, OverflowError):
        return None
    known = 0 < len(call_id) <= LONGEST_NAME and "\0" not in call_id
    return place if known else None


def _moment(value: object) -> datetime:
    text = str(value)
    at = read_instant(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)
    if at is None:
        raise PydanticCustomError(
            OWN, "must be an RFC 3339 time with a zone (a + is written %2B) or a date"
        )
    return at


def _limit(value: object) -> int:
    text = str(value)
    if _COUNT.fullmatch(text) is None or not 1 <= int(text) <= MOST_AT_ONCE:
        raise PydanticCustomError(OWN, "must be a whole number from 1 to 1000")
    return int(text)


def _place(value: object) -> CallPlace:
    place = read_place(str(value))
    if place is None:
        raise PydanticCustomError(OWN, "must be the next of an earlier page")
    return place


Moment = Annotated[datetime, BeforeValidator(_moment)]
Limit = Annotated[
    int,
    BeforeValidator(_limit),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_AT_ONCE}),
]
A_TEXT: Final = WithJsonSchema({"type": "string"})
"""What the token of a page is to others."""


class ListRequest(BaseModel):
    """The query. Dates mean midnight UTC; ``limit`` None: as many as the form allows."""

    model_config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)

    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")
    campaign: Identifier | None = None
    offer: Identifier | None = None
    buyer: Identifier | None = None
    source: Identifier | None = None
    outcome: (
        Literal["auction", "static", "routed", "no_route", "answered", "converted", "lost"] | None
    ) = None
    limit: Limit | None = None
    after: Annotated[CallPlace, BeforeValidator(_place), A_TEXT] | None = None
    test: Literal["true", "false"] = "false"
    format: Literal["json", "csv", "ndjson"] | None = None

    def narrowed(self, grant: Grant) -> CallFilter:
        """The calls asked for, of those that a token may see."""
        buyer, source = grant.buyer, grant.source
        if _other(self.buyer, buyer) or _other(self.source, source):
            return _NONE
        return CallFilter(
            since=self.since,
            until=self.until,
            campaign=None if self.campaign is None else CampaignId(self.campaign),
            offer=None if self.offer is None else OfferId(self.offer),
            buyer=None if self.buyer is None or buyer is not None else BuyerId(self.buyer),
            source=source or self.source,
            outcome=None if self.outcome is None else CallOutcome(self.outcome),
            seen_by=None if buyer is None else BuyerId(buyer),
            test=self.test == "true",
        )


def read_list_request(query: MultiMapping[str]) -> ListRequest:
    """The query, validated. Raises CallerMistakeError (422) with every fault at once."""
    twice = [Fault(name, "must be given once") for name in query if len(query.getall(name)) > 1]
    if twice:
        raise invalid(twice[0])
    try:
        asked = ListRequest.model_validate(dict(query))
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None
    in_order(asked.since, asked.until)
    return asked


def in_order(since: datetime | None, until: datetime | None) -> None:
    """Raises CallerMistakeError (422) when ``from`` lies after ``to``."""
    if since is not None and until is not None and since > until:
        raise invalid(Fault("from", "must not be after to"))


def _other(asked: str | None, bound: str | None) -> bool:
    return asked is not None and bound is not None and asked != bound
