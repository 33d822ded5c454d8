"""``/v1/postbacks/conversion``: what a buyer may say, in the query, a form or JSON."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from auction.domain.bids import LONGEST_BID_ID
from auction.domain.ids import BuyerId
from auction.domain.money import render
from auction.domain.postbacks import (
    STATUS_WORDS,
    NamedBy,
    Postback,
    ReportStatus,
    reported_amount,
)
from auction.web import problems
from auction.web.bodies import (
    MAX_BODY_BYTES,
    JsonObject,
    fingerprint,
    parse_object,
    read_bytes,
)
from auction.web.call_request import Identifier
from auction.web.event_request import read_instant
from auction.web.faults import OWN, faults_of
from auction.web.problems import CallerMistakeError, Fault, invalid
from auction.web.services import Fingerprint

MOST_PARAMETERS: Final = 50

_FORM: Final = "application/x-www-form-urlencoded"
_NAMES: Final = tuple(name.value for name in NamedBy)
_SPACE_FOR_PLUS: Final = re.compile(r" (?=\d\d:\d\d$)", re.ASCII)


def _bid_id(value: object) -> object:
    # a buyer whose bids had numbers for ids reports them as such
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _amount(value: object) -> Decimal:
    amount = None
    if isinstance(value, str):
        amount = reported_amount(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        # the shortest text of a float is the decimal that was sent
        amount = reported_amount(repr(value))
    if amount is None:
        raise PydanticCustomError(OWN, "must be an amount from 0 to 10000 such as 52.50")
    return amount


def _status(value: object) -> str:
    word = value.strip().lower() if isinstance(value, str) else None
    if word not in STATUS_WORDS:
        raise PydanticCustomError(OWN, f"must be one of {', '.join(STATUS_WORDS)}")
    return word


def _at(value: object) -> datetime:
    at = None
    if isinstance(value, str):
        # a plus that was not escaped in a query arrives as a space
        at = read_instant(value) or read_instant(_SPACE_FOR_PLUS.sub("+", value))
    if at is None:
        raise PydanticCustomError(OWN, "must be an RFC 3339 time with a zone")
    return at


class PostbackRequest(BaseModel):
    """The parameters; null and the empty text count as absent. Exactly one names the call."""

    model_config = ConfigDict(strict=True, extra="forbid")

    call_id: Identifier | None = None
    ping_id: Identifier | None = None
    post_id: Identifier | None = None
    bid_id: Annotated[str, BeforeValidator(_bid_id), Field(max_length=LONGEST_BID_ID)] | None = None
    event_id: Identifier | None = None
    amount: Annotated[Decimal, BeforeValidator(_amount)] | None = None
    status: Annotated[str, BeforeValidator(_status)] | None = None
    at: Annotated[datetime, BeforeValidator(_at)] | None = None

    def to_postback(self, buyer: BuyerId | None, keyed: Fingerprint) -> Postback:
        """The report of a buyer; None: of whoever the call was sold to."""
        [(named_by, name)] = self.names
        status = ReportStatus.CONVERTED if self.status is None else STATUS_WORDS[self.status]
        return Postback(
            named_by=named_by,
            name=name,
            buyer=buyer,
            status=status,
            fingerprint=fingerprint(self._content(status), keyed),
            event_id=self.event_id,
            amount=self.amount,
            at=self.at,
            note=self.status,
        )

    @property
    def names(self) -> list[tuple[NamedBy, str]]:
        """What the call is named by; one when the request is valid."""
        given = [(each, getattr(self, each.value)) for each in NamedBy]
        return [(each, name) for each, name in given if name is not None]

    def _content(self, status: ReportStatus) -> JsonObject:
        """What tells a repeat from other content: not how the call was named.

        Without an event id it is the content that makes the event, whenever it is said to be.
        """
        dated = self.event_id is not None and self.at is not None
        return {
            "status": status.value,
            "amount": None if self.amount is None else render(self.amount),
            "at": self.at.isoformat() if dated and self.at is not None else None,
        }


def read_postback(parameters: JsonObject) -> PostbackRequest:
    """The request, validated. Raises CallerMistakeError (422) with every fault at once."""
    faults: list[Fault] = []
    request: PostbackRequest | None = None
    try:
        request = PostbackRequest.model_validate(parameters)
    except ValidationError as error:
        faults = faults_of(error)
    given = [name for name in _NAMES if name in parameters]
    if not given:
        message = f"is required: one of {', '.join(_NAMES)}"
        faults += [Fault(name, message) for name in _NAMES]
    elif len(given) > 1:
        faults += [Fault(name, "must be the only name of the call") for name in given]
    if request is None or faults:
        raise invalid(*faults)
    return request


def read_query(request: web.Request) -> JsonObject:
    """The query's parameters. Raises CallerMistakeError (422)."""
    return _once(request.query.items())


async def read_body(request: web.Request) -> JsonObject:
    """The parameters of a form or a JSON body; none without a body.

    Raises CallerMistakeError: 400, 408, 413 or 422.
    """
    body = await read_bytes(request, MAX_BODY_BYTES)
    if not body:
        return {}
    if request.content_type == _FORM:
        return _once(_form_fields(body))
    return _present(parse_object(body))


def together(query: JsonObject, body: JsonObject) -> JsonObject:
    """Both sets of parameters as one. Raises CallerMistakeError (422) where they differ."""
    both = query.keys() & body.keys()
    differing = sorted(name for name in both if str(query[name]) != str(body[name]))
    if differing:
        raise invalid(*(Fault(each, "differs in the query and in the body") for each in differing))
    return {**query, **body}


def _form_fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict"
        )
    except ValueError:
        detail = f"The form can't be read: UTF-8 and at most {MOST_PARAMETERS} fields, please."
        raise CallerMistakeError(problems.BAD_REQUEST, detail) from None


def _once(pairs: Iterable[tuple[str, str]]) -> JsonObject:
    """Parameters by name, each with one value, without the empty ones."""
    values: JsonObject = {}
    for name, value in pairs:
        if values.setdefault(name, value) != value:
            raise invalid(Fault("", "gives a parameter twice, with different values"))
    return _present(values)


def _present(values: Mapping[str, object]) -> JsonObject:
    return {name: value for name, value in values.items() if value not in (None, "")}
