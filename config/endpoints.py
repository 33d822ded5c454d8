"""How a buyer is spoken to: addresses, authentication, requests, and where answers keep what."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
)

from auction.domain.terms import OnUnknown
from config.credentials import SentValue
from config.expressions import MAXIMUM_EXPRESSION, ExpressionError, check_expression
from config.faults import mistake
from config.notice_urls import LostUrl, WonUrl
from config.proxies import Proxy
from config.request_bodies import body_fault
from config.request_parts import Body, FieldMapping, Headers, Query, header_fault
from config.secret_values import Secret
from config.values import (
    Flag,
    Identifier,
    Many,
    Model,
    Money,
    MoneyOrZero,
    Name,
    Rate,
    Ratio,
    Seconds,
    TimeoutMs,
    Url,
    read_number,
)

ReplyFormat = Literal["json", "xml", "form", "text"]
CallerIdMode = Literal["withheld", "hashed", "plain"]


def _header_name(name: str) -> str:
    wrong = header_fault(name)
    if wrong:
        raise mistake(wrong)
    return name


class NoAuth(Model):
    """Nothing proves who we are."""

    type: Literal["none"] = "none"


class BearerAuth(Model):
    """``Authorization: Bearer <token>``."""

    type: Literal["bearer"]
    token: Secret


class ApiKeyAuth(Model):
    """A key in a header or in the query."""

    type: Literal["api_key"]
    location: Literal["header", "query"] = Field(default="header", alias="in")
    name: Name = "X-API-Key"
    key: Secret

    @field_validator("name")
    @classmethod
    def _sendable(cls, name: str, info: ValidationInfo) -> str:
        if info.data.get("location") == "query":
            return name or _refuse("must not be empty")
        return _header_name(name)


class BasicAuth(Model):
    """``Authorization: Basic`` with user and password."""

    type: Literal["basic"]
    user: Name
    password: Secret

    @field_validator("user")
    @classmethod
    def _without_colon(cls, user: str) -> str:
        return _refuse("must not contain a colon") if ":" in user else user


class HmacAuth(Model):
    """``<header>: sha256=<hex HMAC-SHA-256 of timestamp + "." + body>`` and ``X-Timestamp``."""

    type: Literal["hmac"]
    secret: Secret
    header: Name = "X-Signature"

    @field_validator("header")
    @classmethod
    def _sendable(cls, name: str) -> str:
        return _header_name(name)


Auth = Annotated[
    NoAuth | BearerAuth | ApiKeyAuth | BasicAuth | HmacAuth,
    Discriminator("type"),
]


def _refuse(message: str) -> str:
    raise mistake(message)


def _read_expected(value: object) -> object:
    """What an answer may equal; a decimal as its text, so that it is never a float."""
    if value is None or isinstance(value, str | bool | int):
        return value
    return format(read_number(value), "f")


Expected = Annotated[str | bool | int | None, BeforeValidator(_read_expected)]


class Reading(Model):
    """Where an answer keeps one value.

    ``equals`` goes with ``accepted`` only: the values that mean yes, empty for the usual words.
    """

    at: Annotated[StrictStr, Field(min_length=1, max_length=MAXIMUM_EXPRESSION)]
    equals: Many[Expected] = ()


class Response(Model):
    """Where an answer keeps what.

    ``at`` is a JMESPath (json, form), an XPath (xml) or a regular expression with one group (text).
    Without ``accepted`` a ping accepts by naming an amount, a post by ``accepted: true`` in JSON.
    """

    format: ReplyFormat = "json"
    accepted: Reading | None = None
    amount: Reading | None = None
    currency: Reading | None = None
    bid_id: Reading | None = None
    destination: Reading | None = None
    expires_in_s: Reading | None = None
    minimum_duration_s: Reading | None = None
    reason: Reading | None = None

    @field_validator(
        "accepted",
        "amount",
        "currency",
        "bid_id",
        "destination",
        "expires_in_s",
        "minimum_duration_s",
        "reason",
    )
    @classmethod
    def _compiles(cls, reading: Reading | None, info: ValidationInfo) -> Reading | None:
        if reading is None:
            return None
        if reading.equals and info.field_name != "accepted":
            raise mistake("goes with accepted only", "equals")
        if "format" in info.data:
            try:
                check_expression(info.data["format"], reading.at)
            except ExpressionError as error:
                raise mistake(str(error), "at") from error
        return reading


class Endpoint(Model):
    """One address of a buyer and how to talk to it."""

    url: Url
    method: Literal["GET", "POST", "PUT"] = "POST"
    timeout_ms: TimeoutMs = 1000
    idempotent: Flag = False
    no_bid_statuses: Many[Annotated[StrictInt, Field(ge=100, le=599)]] = (204,)
    auth: Auth = NoAuth()
    headers: Headers = Field(default_factory=dict)
    query: Query = Field(default_factory=dict)
    format: Literal["json", "form", "xml"] = "json"
    body: Body = None
    caller_id: CallerIdMode = "withheld"
    hash_key: Secret | None = None
    hash: Literal["sha256"] | None = None
    response: Response | None = None

    @field_validator("headers")
    @classmethod
    def _not_set_by_auth(
        cls, headers: dict[str, SentValue], info: ValidationInfo
    ) -> dict[str, SentValue]:
        own = {name.lower() for name in _headers_of(info.data.get("auth"))}
        for name in headers:
            if name.lower() in own:
                raise mistake("is set by auth already", name)
        return headers

    @field_validator("body")
    @classmethod
    def _fits_format(cls, body: Body, info: ValidationInfo) -> Body:
        if body is None:
            return None
        if info.data.get("method") == "GET":
            raise mistake("a GET carries no body: use query")
        wrong = body_fault(body, info.data.get("format"))
        if wrong:
            raise mistake(wrong)
        return body

    @field_validator("hash")
    @classmethod
    def _one_way_to_hash(cls, value: str | None, info: ValidationInfo) -> str | None:
        return one_way_to_hash(value, info)


def one_way_to_hash(value: str | None, info: ValidationInfo) -> str | None:
    """``hash`` if ``hash_key`` is not given beside it."""
    if value is not None and info.data.get("hash_key") is not None:
        raise mistake("give either hash or hash_key")
    return value


def _headers_of(auth: object) -> tuple[str, ...]:
    if isinstance(auth, BearerAuth | BasicAuth):
        return ("Authorization",)
    if isinstance(auth, ApiKeyAuth):
        return (auth.name,) if auth.location == "header" else ()
    return (auth.header, "X-Timestamp") if isinstance(auth, HmacAuth) else ()


class PingEndpoint(Endpoint):
    """Where bids are asked for."""

    idempotent: StrictBool = True


class PostEndpoint(Endpoint):
    """Where calls are handed over; the caller's number goes along unless said otherwise."""

    caller_id: CallerIdMode = "plain"


class Notices(Model):
    """Addresses that are told (GET) when a bid has won or lost; path and query may hold tokens."""

    won_url: WonUrl | None = None
    lost_url: LostUrl | None = None


class MaxPingRate(Model):
    """How many pings a second a buyer gets at most; ``shadow``: they are only counted."""

    per_second: Rate
    shadow: Flag = False


class Breaker(Model):
    """When a buyer that keeps failing is left alone, and for how long.

    ``failure_ratio`` of its pings failed in any way, ``timeout_ratio`` or ``malformed_ratio`` in
    one way (no limits of their own: ``failure_ratio`` decides), or ``refused_post_ratio`` (that
    too) of its posts, of which there were ``minimum_posts`` (by default ``minimum_pings``). After
    ``open_s`` up to ``probes`` pings decide. ``trickle`` is the share that always passes.
    ``shadow``: it counts and does not act.
    """

    failure_ratio: Ratio = Decimal("0.5")
    timeout_ratio: Ratio | None = None
    malformed_ratio: Ratio | None = None
    refused_post_ratio: Ratio | None = None
    minimum_pings: Annotated[StrictInt, Field(ge=1, le=100_000)] = 20
    minimum_posts: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = None
    window_s: Seconds = 60
    open_s: Seconds = 30
    probes: Annotated[StrictInt, Field(ge=1, le=1_000)] = 5
    trickle: Ratio = Decimal("0.05")
    shadow: Flag = False

    @field_validator("timeout_ratio", "malformed_ratio")
    @classmethod
    def _reached_first(cls, ratio: Decimal | None, info: ValidationInfo) -> Decimal | None:
        of_all = info.data.get("failure_ratio")
        if ratio is not None and of_all is not None and ratio > of_all:
            raise mistake(f"is above failure_ratio {of_all}, which is reached first")
        return ratio


class PingPost(Model):
    """How an offer bids and is posted.

    ``profile`` names the delivery profile whose settings hold where none are written here.
    ``mapping`` makes the ``fields`` that requests without a body of their own carry.
    """

    profile: Identifier | None = None
    minimum_bid: MoneyOrZero = Decimal(0)
    maximum_bid: Money | None = None
    fixed_amount: Money | None = None
    bid_valid_s: Seconds = 60
    on_unknown: OnUnknown = OnUnknown.NEXT
    notices: Notices | None = None
    max_ping_rate: MaxPingRate | None = None
    breaker: Breaker | None = None
    transport: Literal["native", "aiohttp"] = "native"
    proxy: Proxy | None = None
    hash_key: Secret | None = None
    hash: Literal["sha256"] | None = None
    mapping: FieldMapping = None
    ping: PingEndpoint
    post: PostEndpoint | None = None

    @field_validator("maximum_bid", "fixed_amount")
    @classmethod
    def _reaches_minimum(cls, amount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        minimum = info.data.get("minimum_bid")
        if amount is not None and minimum is not None and amount < minimum:
            raise mistake(f"is below minimum_bid {minimum}: no bid could win")
        maximum = info.data.get("maximum_bid")
        if amount is not None and maximum is not None and amount > maximum:
            raise mistake(f"is above maximum_bid {maximum}: no bid could win")
        return amount

    @field_validator("hash")
    @classmethod
    def _one_way_to_hash(cls, value: str | None, info: ValidationInfo) -> str | None:
        return one_way_to_hash(value, info)

    @field_validator("proxy")
    @classmethod
    def _transport_knows_proxies(cls, proxy: Proxy | None, info: ValidationInfo) -> Proxy | None:
        if proxy is not None and info.data.get("transport") == "native":
            raise mistake("needs `transport: aiohttp` beside it")
        return proxy

    @field_validator("ping")
    @classmethod
    def _ping_tells_a_price(cls, ping: PingEndpoint, info: ValidationInfo) -> PingEndpoint:
        if ping.response is None or "fixed_amount" not in info.data:
            return ping
        if info.data["fixed_amount"] is None and ping.response.amount is None:
            raise mistake(
                "is missing: say where the bid stands or set fixed_amount", "response", "amount"
            )
        if ping.response.amount is None and ping.response.accepted is None:
            raise mistake("is missing: nothing else tells yes from no", "response", "accepted")
        return ping

    @field_validator("post")
    @classmethod
    def _post_tells_yes_from_no(cls, post: PostEndpoint | None) -> PostEndpoint | None:
        response = post.response if post is not None else None
        if response is not None and response.accepted is None and response.format != "json":
            raise mistake("is missing: nothing else tells yes from no", "response", "accepted")
        return post
