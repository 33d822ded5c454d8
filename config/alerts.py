"""Alert rules: what an operator wants to be told of, and what is to be done about it."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    StrictInt,
    ValidationInfo,
    field_validator,
)

from auction.domain.alert_terms import OF_CAPS, AlertMeasure
from config.credentials import SentValue
from config.faults import mistake
from config.request_parts import AnyBody, AnyHeaders
from config.secret_values import Secret
from config.values import Flag, Identifier, Model, Name, Url, read_number
from config.webhooks import check_body, check_headers

MAXIMUM_RULES: Final = 1_000

ALERT_OWNER: Final = "alert:"
ALERT_HOOK: Final = "alert"
ESCALATION_HOOK: Final = "escalation"
"""Under which owner (with the rule's id) and ids a rule's webhooks are told."""

RESERVED: Final = frozenset({"active", "history"})
"""No ids of rules: what has fired is asked for by them."""

SOURCES_COUNTED_BY_MINUTES: Final = 15
"""Figures of a source are kept by quarters of an hour."""

_SCOPES: Final = ("campaign", "buyer", "offer", "source")

_UpToADay = Field(ge=1, le=1_440)
_UpToAWeek = Field(ge=1, le=10_080)


def _read_level(value: object) -> Decimal:
    level = read_number(value)
    if not 0 <= level <= 1_000_000_000:
        raise mistake("must be a number from 0 to 1000000000")
    return level


Level = Annotated[Decimal, BeforeValidator(_read_level)]


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise mistake(f"can't be {name}, which stands for something else")
    return name


class AlertWebhook(Model):
    """Where an alert is told; its tokens are ``event``, ``event_id``, ``at`` and ``data.NAME``."""

    url: Url
    secret: Secret | None = None
    format: Literal["json", "form", "xml"] = "json"
    headers: AnyHeaders = Field(default_factory=dict)
    body: AnyBody = None

    @field_validator("headers")
    @classmethod
    def _known_in_headers(cls, headers: dict[str, SentValue]) -> dict[str, SentValue]:
        return check_headers(headers)

    @field_validator("body")
    @classmethod
    def _known_and_of_its_format(cls, body: JsonValue, info: ValidationInfo) -> JsonValue:
        return check_body(body, info.data.get("format"))


class AutoPause(Model):
    """The offer is paused while its alert fires, or is tried again after so many minutes.

    While ``at_most`` alerts of the rule are active, further ones pause nothing.
    """

    resume_after_minutes: Annotated[StrictInt, _UpToAWeek] | None = None
    at_most: Annotated[StrictInt, Field(ge=1, le=10_000)] = 10


class Escalation(Model):
    """Who is told when nobody has acknowledged the alert for so long."""

    after_minutes: Annotated[StrictInt, _UpToAWeek]
    webhook: AlertWebhook


class Alert(Model):
    """One rule: a measure of a scope (absent: everything), when it is bad, and what then.

    With ``each_offer`` every offer of the scope is watched by itself. Without ``clear`` it is good
    again at nine tenths of ``above``, eleven of ``below``. ``past_minutes``: what is compared is
    the share of the same measure over that time before.
    """

    id: Annotated[Identifier, AfterValidator(_not_reserved)]
    name: Name = ""
    enabled: Flag = True
    campaign: Identifier | None = None
    buyer: Identifier | None = None
    offer: Identifier | None = None
    source: Identifier | None = None
    each_offer: Flag = False
    measure: AlertMeasure
    above: Level | None = None
    at_least: Level | None = None
    below: Annotated[Level | None, Field(validate_default=True)] = None
    clear: Level | None = None
    over_minutes: Annotated[StrictInt, _UpToADay] = Field(default=5, validate_default=True)
    minimum_sample: Annotated[StrictInt, Field(ge=0, le=1_000_000)] = 20
    for_minutes: Annotated[StrictInt, Field(ge=0, le=1_440)] = 0
    clear_after_minutes: Annotated[StrictInt, Field(ge=0, le=1_440)] = 2
    delay_minutes: Annotated[StrictInt, Field(ge=0, le=1_440)] | None = None
    past_minutes: Annotated[StrictInt, _UpToAWeek] | None = None
    auto_pause: AutoPause | None = None
    webhook: AlertWebhook | None = None
    escalation: Escalation | None = None

    @field_validator("buyer", "offer", "source")
    @classmethod
    def _one_scope(cls, name: str | None, info: ValidationInfo) -> str | None:
        for other in _SCOPES:
            if name is not None and info.data.get(other) is not None:
                raise mistake(f"can't be together with {other}: a rule has one scope")
        return name

    @field_validator("each_offer")
    @classmethod
    def _has_offers(cls, each: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's call
        if each and info.data.get("source") is not None:
            raise mistake("can't be true for a source: figures of a source are not kept by offer")
        return each

    @field_validator("measure")
    @classmethod
    def _has_caps(cls, measure: AlertMeasure, info: ValidationInfo) -> AlertMeasure:
        if measure in OF_CAPS and not _watches_offers(info):
            raise mistake("is read of an offer: name one, or set each_offer")
        return measure

    @field_validator("below")
    @classmethod
    def _one_comparison(cls, below: Decimal | None, info: ValidationInfo) -> Decimal | None:
        readable = "above" in info.data and "at_least" in info.data
        given = [info.data.get("above"), info.data.get("at_least"), below]
        if readable and sum(level is not None for level in given) != 1:
            raise mistake("give one of above, at_least and below")
        return below

    @field_validator("clear")
    @classmethod
    def _on_the_good_side(cls, clear: Decimal | None, info: ValidationInfo) -> Decimal | None:
        given = {name: info.data.get(name) for name in ("above", "at_least", "below")}
        for name, level in given.items():
            if clear is None or level is None:
                continue
            if clear < level if name == "below" else clear > level:
                raise mistake(f"is beyond {name} {level}: it would be good while it is bad")
        return clear

    @field_validator("over_minutes")
    @classmethod
    def _whole_quarters(cls, minutes: int, info: ValidationInfo) -> int:
        if info.data.get("source") is not None and minutes % SOURCES_COUNTED_BY_MINUTES:
            raise mistake("must be a multiple of 15: figures of a source are kept by quarter hours")
        return minutes

    @field_validator("past_minutes")
    @classmethod
    def _longer_than_now(cls, past: int | None, info: ValidationInfo) -> int | None:
        if past is None:
            return None
        if info.data.get("measure") in OF_CAPS:
            raise mistake("goes with measures over a time, not with caps")
        if past < info.data.get("over_minutes", 0):
            raise mistake("is shorter than over_minutes")
        return past

    @field_validator("auto_pause")
    @classmethod
    def _has_an_offer(cls, pause: AutoPause | None, info: ValidationInfo) -> AutoPause | None:
        if pause is not None and not _watches_offers(info):
            raise mistake("pauses an offer: name one, or set each_offer")
        return pause


def _watches_offers(info: ValidationInfo) -> bool:
    return info.data.get("offer") is not None or info.data.get("each_offer") is True
