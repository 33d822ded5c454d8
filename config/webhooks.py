"""Webhooks of a campaign or a buyer, as operators write them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, StrictInt, ValidationInfo, field_validator

from config.credentials import SentValue
from config.faults import Step, mistake, mistakes
from config.request_bodies import body_fault
from config.request_parts import AnyBody, AnyHeaders, Found
from config.secret_values import Secret
from config.template_syntax import FIELD_PREFIX, parse_template
from config.values import Identifier, Many, Model, Url

WebhookEvent = Literal[
    "call.routed",
    "call.answered",
    "call.ended",
    "call.converted",
    "conversion.amended",
    "cap.reached",
]

CDR_TOKENS: Final = (
    *("call_id", "campaign", "source", "dialed_number", "caller_id", "started_at", "answered_at"),
    *("ended_at", "total_duration_s", "connected_duration_s", "ended_by", "state", "routed_by"),
    *("buyer", "offer", "price", "currency", "converted", "conversion_trigger", "revenue"),
    *("payout", "test", "switch", "reason", "quality"),
)
"""What a template may name of the call's record."""

EVENT_TOKENS: Final = ("event", "event_id", "at")
"""What a template may name of the event itself."""

DATA_PREFIX: Final = "data."
"""A token that starts so names what the event tells beside the call's record."""

EVENT_ID_HEADER: Final = "X-Pingpost-Event-Id"
TIMESTAMP_HEADER: Final = "X-Pingpost-Timestamp"
SIGNATURE_HEADER: Final = "X-Pingpost-Signature"

_NAMES: Final = frozenset((*EVENT_TOKENS, *CDR_TOKENS))
_PREFIXES: Final = (FIELD_PREFIX, DATA_PREFIX)
_OWN_HEADERS: Final = frozenset(
    name.lower() for name in (EVENT_ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
)


class Batch(Model):
    """Events sent together: at the latest after ``every_s`` seconds, at most ``max`` at once."""

    every_s: Annotated[StrictInt, Field(ge=1, le=86_400)]
    max: Annotated[StrictInt, Field(ge=1, le=1_000)] = 100


class Webhook(Model):
    """Where events of a campaign or a buyer are sent."""

    id: Identifier
    url: Url
    events: Annotated[Many[WebhookEvent], Field(min_length=1)]
    secret: Secret | None = None
    format: Literal["json", "form", "xml"] = "json"
    headers: AnyHeaders = Field(default_factory=dict)
    body: AnyBody = None
    batch: Batch | None = None

    @field_validator("headers")
    @classmethod
    def _known_in_headers(cls, headers: dict[str, SentValue]) -> dict[str, SentValue]:
        return check_headers(headers)

    @field_validator("body")
    @classmethod
    def _known_and_of_its_format(cls, body: JsonValue, info: ValidationInfo) -> JsonValue:
        return check_body(body, info.data.get("format"))

    @field_validator("batch")
    @classmethod
    def _can_be_batched(cls, batch: Batch | None, info: ValidationInfo) -> Batch | None:
        if batch is not None and info.data.get("format") == "form":
            raise mistake("can't be sent as a form: use json or xml")
        return batch


def check_headers(headers: dict[str, SentValue]) -> dict[str, SentValue]:
    """The headers if their tokens are known and none is our own. Raises a mistake."""
    templates = {name: text for name, text in headers.items() if isinstance(text, str)}
    found: Found = [*_unknown_tokens(dict(templates), ())]
    for name in headers:
        if name.lower() in _OWN_HEADERS:
            found.append(([name], "is set by the service"))
    if found:
        raise mistakes(found)
    return headers


def check_body(body: JsonValue, format_: str | None) -> JsonValue:
    """The body if its tokens are known and it can be sent in its format. Raises a mistake."""
    if body is None:
        return None
    found: Found = [*_unknown_tokens(body, ())]
    if found:
        raise mistakes(found)
    wrong = body_fault(body, format_)
    if wrong:
        raise mistake(wrong)
    return body


def is_webhook_token(name: str) -> bool:
    """Whether a webhook's template may name this."""
    return name in _NAMES or any(name.startswith(prefix) and name != prefix for prefix in _PREFIXES)


def _unknown_tokens(
    value: JsonValue, steps: tuple[Step, ...]
) -> Iterator[tuple[tuple[Step, ...], str]]:
    if isinstance(value, str):
        for token in parse_template(value, any_token=True).tokens:
            if not is_webhook_token(token.name):
                yield steps, f"unknown token `{token.name}`: known are {_KNOWN}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unknown_tokens(item, (*steps, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_tokens(item, (*steps, index))


_KNOWN: Final = f"{', '.join(sorted(_NAMES))}, {FIELD_PREFIX}NAME and {DATA_PREFIX}NAME"
