"""An offer: one buyer's terms on one campaign, as an operator writes them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from auction.domain.filters import Op, prepare
from auction.domain.hours import Week, parse_weekly, weekly_faults
from auction.domain.terms import DuplicateAfter, DuplicateScope, Trigger
from config.delivery_profiles import ProfiledPingPost
from config.endpoints import Endpoint, one_way_to_hash
from config.faults import faults_of, mistake, mistakes
from config.requirements import ConsentRule, Validation
from config.secret_values import Secret
from config.values import (
    MAXIMUM_ENTRIES,
    Concurrency,
    Day,
    Days,
    DestinationUri,
    FieldName,
    Flag,
    Hundreds,
    Identifier,
    Many,
    Model,
    Money,
    MoneyOrZero,
    Name,
    SecondsOrZero,
    SendDigits,
    Text,
    TimeZone,
    read_number,
    split_names,
)

FilterOp = Literal[
    "eq", "ne", "in", "not_in", "lt", "lte", "gt", "gte", "between", "prefix", "exists"
]
FilterScalar = str | bool | int
FilterValue = FilterScalar | tuple[FilterScalar, ...]
"""What a filter compares with; decimals as their text, so that none is ever a float."""

MAXIMUM_CAP = 1_000_000_000
MAXIMUM_RANGES = 200
"""Of one offer's weekly hours."""


class Destination(Model):
    """Where the switch sends the call."""

    uri: DestinationUri
    dial_timeout_s: Annotated[StrictInt, Field(ge=1, le=600)] = 25
    send_digits: SendDigits | None = None
    whisper: Text | None = None


@lru_cache(maxsize=4096)
def read_week(weekly: tuple[tuple[str, tuple[str, ...]], ...]) -> Week:
    """The week behind ``weekly``, given as its items. Raises ValueError."""
    return parse_weekly(dict(weekly))


class Hours(Model):
    """When an offer takes calls; without ``weekly`` always but on closed dates."""

    time_zone: TimeZone | None = None
    weekly: dict[StrictStr, Many[StrictStr]] | None = None
    closed_dates: Many[Day] = ()

    @field_validator("weekly", mode="wrap")
    @classmethod
    def _readable(cls, value: object, read: ValidatorFunctionWrapHandler) -> object:
        texts = _texts_of_week(value)
        if sum(len(ranges) for ranges in texts.values()) > MAXIMUM_RANGES:
            raise mistake(f"has more than {MAXIMUM_RANGES} ranges")
        found = dict(weekly_faults(texts))
        try:
            weekly: object = read(value)
        except ValidationError as error:
            found.update((fault.steps, fault.message) for fault in faults_of(error, value))
        if found:
            raise mistakes(list(found.items()))
        return weekly


def _texts_of_week(value: object) -> dict[str, list[str]]:
    """The lists of a week that may be of any shape, an empty range for what is no text."""
    return {
        day: [text if isinstance(text, str) else "" for text in ranges]
        for day, ranges in (value.items() if isinstance(value, Mapping) else ())
        if isinstance(day, str) and isinstance(ranges, list | tuple)
    }


def _cap_limit(value: object, info: ValidationInfo) -> object:
    measure = info.data.get("measure")
    if measure == "revenue":
        limit = read_number(value)
        if not 0 <= limit <= MAXIMUM_CAP or limit != round(limit, 4):
            raise mistake(f"must be an amount from 0 to {MAXIMUM_CAP} with at most 4 decimals")
        return limit
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAXIMUM_CAP:
        return value
    raise mistake(f"must be a whole number from 0 to {MAXIMUM_CAP}")


class Cap(Model):
    """At most ``limit`` per window: a count, or for ``revenue`` an amount of money."""

    measure: Literal["calls", "answered", "conversions", "revenue"]
    per: Literal["hour", "day", "month", "total"]
    limit: Annotated[int | Decimal, BeforeValidator(_cap_limit)]


def each_once(caps: tuple[Cap, ...]) -> tuple[Cap, ...]:
    """The caps, none of which limits the same twice."""
    seen: set[tuple[str, str]] = set()
    for index, cap in enumerate(caps):
        if (cap.measure, cap.per) in seen:
            raise mistake(f"limits {cap.measure} per {cap.per} a second time", index)
        seen.add((cap.measure, cap.per))
    return caps


Caps = Annotated[Many[Cap], AfterValidator(each_once)]


def _scalar(value: object) -> FilterScalar:
    if isinstance(value, str) and len(value) > 1000:
        raise mistake("must have at most 1000 characters")
    if isinstance(value, str | bool | int):
        return value
    if not isinstance(value, Decimal):
        raise mistake("must be text, a number or true or false")
    return format(read_number(value), "f")


def _read_filter_value(value: object, info: ValidationInfo) -> FilterValue | None:
    field, op = info.data.get("field"), info.data.get("op")
    if field is None or op is None:
        return None
    if value is None:
        if op != "exists":
            raise mistake(f"is missing: say what {op} compares with")
        return True
    read = _read_scalars(value) if isinstance(value, list | tuple) else _scalar(value)
    try:
        prepare(field, Op(op), read)
    except ValueError as error:
        raise mistake(str(error)) from error
    return read


def _read_scalars(values: Sequence[object]) -> tuple[FilterScalar, ...]:
    if len(values) > MAXIMUM_ENTRIES:
        raise mistake(f"has more than {MAXIMUM_ENTRIES} entries")
    return tuple(_scalar(value) for value in values)


class FilterRule(Model):
    """One condition on a field of the call or its caller."""

    field: FieldName
    op: FilterOp = "eq"
    value: Annotated[
        FilterValue | None, BeforeValidator(_read_filter_value), Field(validate_default=True)
    ] = None


class Duplicates(Model):
    """Refuse callers who reached ``scope`` within so many days.

    Without a scope: the offer on an offer, the campaign on a campaign.
    """

    within_days: Days
    after: DuplicateAfter = DuplicateAfter.ROUTED
    scope: DuplicateScope | None = None


def _timer_has_seconds(seconds: int | None, info: ValidationInfo) -> int | None:
    trigger = info.data.get("trigger")
    if trigger is Trigger.TIMER and seconds is None:
        raise mistake("is missing: a timer needs its seconds of connected time")
    if seconds is not None and trigger not in {Trigger.TIMER, None}:
        raise mistake("goes with trigger timer only")
    return seconds


ConnectedSeconds = Annotated[
    SecondsOrZero | None, AfterValidator(_timer_has_seconds), Field(validate_default=True)
]


class ConversionRule(Model):
    """When a call becomes payable, and for how much (``amount`` None: the price)."""

    trigger: Trigger
    connected_s: ConnectedSeconds = None
    amount: Money | None = None
    dedupe_days: Days | None = None
    postback_within_h: Annotated[StrictInt, Field(ge=1, le=2_160)] = 24


class Returns(Model):
    """What the buyer may give back or complain about, up to so many days after the call.

    ``reasons``: the words it may use, any where none are named. ``payout``: whether the source
    keeps what it earned by a call that is given back.
    """

    within_days: Days
    reasons: Annotated[Many[Name], Field(max_length=100)] = ()
    payout: Literal["keep", "withdraw"] = "keep"


class Offer(Model):
    """One buyer's terms on one campaign."""

    id: Identifier
    campaign: Identifier
    enabled: Flag = True
    destination: Destination | None = None
    hours: Hours | None = None
    concurrency: Concurrency | None = None
    caps: Caps = ()
    required_fields: Annotated[Many[FieldName], BeforeValidator(split_names)] = ()
    filters: Many[FilterRule] = ()
    validations: Many[Validation] = ()
    consents: Many[ConsentRule] = ()
    priority: Hundreds = 1
    weight: Annotated[StrictInt, Field(ge=0, le=10_000)] = 1
    static_price: Annotated[MoneyOrZero | None, Field(validate_default=True)] = None
    ping_post: ProfiledPingPost | None = None
    conversions: Many[ConversionRule] = ()
    duplicates: Duplicates | None = None
    returns: Returns | None = None
    hash_key: Secret | None = None
    hash: Literal["sha256"] | None = None

    @field_validator("static_price")
    @classmethod
    def _has_somewhere_to_go(cls, price: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if price is not None and "destination" in info.data and info.data["destination"] is None:
            raise mistake("needs a destination beside it: a static route goes there")
        return price

    @field_validator("hash")
    @classmethod
    def _one_way_to_hash(cls, value: str | None, info: ValidationInfo) -> str | None:
        return one_way_to_hash(value, info)


def caller_hash(offer: Offer, endpoint: Endpoint) -> Secret | Literal["sha256"] | None:
    """How an endpoint hashes callers: the nearest key (HMAC-SHA-256) or ``sha256``, if any."""
    for level in (endpoint, offer.ping_post, offer):
        if level is not None and (level.hash or level.hash_key):
            return level.hash or level.hash_key
    return None
