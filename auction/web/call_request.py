"""``POST /v1/calls``: what a switch may send, and the call it makes."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from auction.domain.call import Call, Caller, FieldValue
from auction.domain.ids import CallId, CampaignId, SourceId
from auction.domain.phone import normalise_number, parse_caller
from auction.web.bodies import JsonObject, fingerprint
from auction.web.faults import OWN, faults_of
from auction.web.problems import Fault, invalid
from auction.web.services import Fingerprint, Grant

LONGEST_NAME = 128
LONGEST_VALUE = 4096
MOST_FIELDS = 200

LONGEST_TIMEOUT_MS = 600_000
"""A switch that waits longer counts as one that waits this long."""

_NO_CONTROLS = r"^\P{Cc}*$"
_BEYOND_INTEGERS = 2.0**64

Identifier = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=_NO_CONTROLS)]
Name = Annotated[str, Field(max_length=LONGEST_NAME, pattern=_NO_CONTROLS)]


def field_value(value: object) -> object:
    """What a call's field may hold. Raises PydanticCustomError."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError(OWN, "must be a string, a number or a boolean")
    if len(value) > LONGEST_VALUE:
        raise PydanticCustomError(OWN, "must have at most 4096 characters")
    if "\0" in value:
        raise PydanticCustomError(OWN, "must not contain a null character")
    return value


def whole(value: object) -> object:
    """A number of milliseconds that may be too large for the JSON parser's integers."""
    # the JSON parser reads integers that no 64 bits hold as floats
    return LONGEST_TIMEOUT_MS if isinstance(value, float) and value >= _BEYOND_INTEGERS else value


class CallRequest(BaseModel):
    """The body. Null counts as absent, the empty text too; ``timeout_ms`` is 1 or more."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"anyOf": [{"required": ["campaign"]}, {"required": ["dialed_number"]}]},
    )

    call_id: Identifier
    campaign: Name | None = None
    dialed_number: Name | None = None
    caller_id: object = None
    source: Name | None = None
    fields: (
        Annotated[
            dict[Identifier, Annotated[object, AfterValidator(field_value)]],
            Field(max_length=MOST_FIELDS),
        ]
        | None
    ) = None
    timeout_ms: Annotated[int, BeforeValidator(whole), Field(ge=1)] | None = None
    test: bool | None = None

    def to_call(self, grant: Grant, received_at: datetime, default_country: str) -> Call:
        """The call, normalised; a caller id that is no number makes a withheld caller."""
        source = self.source or grant.source
        return Call(
            call_id=CallId(self.call_id),
            campaign=CampaignId(self.campaign) if self.campaign else None,
            dialed_number=_dialed(self.dialed_number, default_country),
            caller=_caller(self.caller_id, default_country),
            source=SourceId(source) if source else None,
            fields=present(self.fields or {}),
            received_at=received_at,
            timeout_ms=_bounded(self.timeout_ms),
            test=bool(self.test),
            switch=grant.switch,
        )


def read_call_request(body: JsonObject) -> CallRequest:
    """The request, validated. Raises CallerMistakeError (422) with every fault at once."""
    faults: list[Fault] = []
    request: CallRequest | None = None
    try:
        request = CallRequest.model_validate(body)
    except ValidationError as error:
        faults = faults_of(error)
    if not body.get("campaign") and not body.get("dialed_number"):
        message = "is required: one of campaign and dialed_number"
        faults += [Fault("campaign", message), Fault("dialed_number", message)]
    if request is None or faults:
        raise invalid(*faults)
    return request


def call_fingerprint(body: JsonObject, keyed: Fingerprint) -> bytes:
    """What tells a repeat from other content: everything but ``timeout_ms``, hashed."""
    content = {key: value for key, value in body.items() if key != "timeout_ms"}
    if not isinstance(content.get("caller_id"), str | None):
        # any JSON may stand here, nested deeper than can be written again; all of it means withheld
        content["caller_id"] = None
    return fingerprint(content, keyed)


def _bounded(timeout_ms: int | None) -> int | None:
    return None if timeout_ms is None else min(timeout_ms, LONGEST_TIMEOUT_MS)


def _caller(raw: object, default_country: str) -> Caller:
    return parse_caller(raw if isinstance(raw, str) else None, default_country)


def _dialed(raw: str | None, default_country: str) -> str | None:
    if not raw:
        return None
    return normalise_number(raw, default_country) or raw


def present(fields: Mapping[str, object]) -> dict[str, FieldValue]:
    """The fields that are there: neither null nor empty."""
    return {
        name: value
        for name, value in fields.items()
        if isinstance(value, str | int | float) and value != ""
    }
