"""The marketplace: campaigns, sources, and buyers with their offers, as operators write it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from auction.domain.terms import BuyerType, RankBy, Trigger
from config.alerts import MAXIMUM_RULES, Alert
from config.built_in_profiles import BUILT_IN
from config.delivery_profiles import DeliveryProfile, Settings, knowing, known_profiles
from config.faults import ConfigError, faults_of, mistake
from config.numbers import Number, Pool, VoiceAgent
from config.offers import Caps, ConnectedSeconds, Destination, Duplicates, Offer
from config.privacy import Retention
from config.quality import Quality
from config.routing import BoostRule, SegmentRule
from config.secret_values import SHOW_SECRETS, Secret
from config.suppressions import Suppression
from config.values import (
    Concurrency,
    Country,
    Currency,
    Days,
    FieldName,
    Flag,
    Identifier,
    Many,
    Model,
    Money,
    Name,
    Percent,
    PhoneNumber,
    TimeZone,
    check_identifier,
)
from config.voice_bots import without_voice_bots
from config.webhooks import Webhook
from config.yaml_file import dump_yaml


def _source_or_all(text: str) -> str:
    return text if text == "*" else check_identifier(text)


SourceOrAll = Annotated[StrictStr, AfterValidator(_source_or_all)]


class Payout(Model):
    """What a source earns (``*``: every source), as an amount or a percentage of the revenue."""

    source: SourceOrAll
    trigger: Trigger
    connected_s: ConnectedSeconds = None
    amount: Money | None = None
    percent: Annotated[Percent | None, Field(validate_default=True)] = None
    dedupe_days: Days | None = None

    @field_validator("percent")
    @classmethod
    def _one_of_two(cls, percent: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if "amount" in info.data and (info.data["amount"] is None) == (percent is None):
            raise mistake("give either amount or percent")
        return percent


class AuctionSettings(Model):
    """Time and rules of a campaign's auction; times in milliseconds."""

    budget_ms: Annotated[StrictInt, Field(ge=50, le=60_000)] = 2000
    post_budget_ms: Annotated[StrictInt, Field(ge=0, le=60_000)] = 800
    reply_reserve_ms: Annotated[StrictInt, Field(ge=0, le=5_000, validate_default=True)] = 30
    close_at_bid: Money | None = None
    rank: RankBy = RankBy.PRICE
    boosts: Many[BoostRule] = ()

    @field_validator("reply_reserve_ms")
    @classmethod
    def _leaves_time(cls, reserve: int, info: ValidationInfo) -> int:
        if reserve >= info.data.get("budget_ms", 60_000):
            raise mistake("leaves nothing of budget_ms to decide in")
        return reserve


def _destination_or_uri(value: object) -> object:
    return {"uri": value} if isinstance(value, str) else value


class Campaign(Model):
    """Where calls come in."""

    id: Identifier
    name: Name = ""
    numbers: Many[PhoneNumber] = ()
    private_fields: Many[FieldName] = ()
    auction: AuctionSettings = AuctionSettings()
    segments: Many[SegmentRule] = ()
    quality: Quality | None = None
    reauction: Flag = False
    max_call_s: Annotated[StrictInt, Field(ge=1, le=86_400)] = 14_400
    reports_answered: Flag = True
    no_route_destination: Annotated[Destination | None, BeforeValidator(_destination_or_uri)] = None
    allowed_countries: Many[Country] = ()
    caller_blocklist: Many[PhoneNumber] = ()
    duplicates: Duplicates | None = None
    payouts: Many[Payout] = ()
    webhooks: Many[Webhook] = ()
    retention: Retention | None = None


class Source(Model):
    """A publisher: who sends calls. ``number_cap``: its numbers, its own and those lent to it."""

    id: Identifier
    name: Name = ""
    token: Secret | None = None
    number_cap: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None


class Buyer(Model):
    """The company that takes and pays for calls.

    ``voice_agent`` names the agent that this buyer was made from; such a buyer is never written by
    hand.
    """

    id: Identifier
    name: Name = ""
    company: Name | None = None
    type: BuyerType = BuyerType.BUYER
    voice_agent: Identifier | None = None
    enabled: Flag = True
    external_id: Name | None = None
    tags: Many[Name] = ()
    time_zone: TimeZone | None = None
    concurrency: Concurrency | None = None
    caps: Caps = ()
    webhooks: Many[Webhook] = ()
    offers: Many[Offer] = ()

    @field_validator("offers")
    @classmethod
    def _static_routes_go_somewhere(
        cls, offers: tuple[Offer, ...], info: ValidationInfo
    ) -> tuple[Offer, ...]:
        if info.data.get("type", BuyerType.BUYER) is not BuyerType.BUYER:
            for index, offer in enumerate(offers):
                if offer.destination is None:
                    raise mistake(
                        "is missing: buyers of this type are routed statically only",
                        index,
                        "destination",
                    )
        return offers


class Marketplace(Model):
    """Everything an operator configures.

    ``revision``: what the file was exported from; it is not a part of the marketplace.
    """

    revision: Annotated[StrictInt, Field(ge=0)] | None = None
    currency: Currency = "USD"
    time_zone: TimeZone = "America/New_York"
    campaigns: Many[Campaign] = ()
    sources: Many[Source] = ()
    buyers: Many[Buyer] = ()
    suppressions: Many[Suppression] = ()
    numbers: Many[Number] = ()
    pools: Many[Pool] = ()
    voice_agents: Many[VoiceAgent] = ()
    alerts: Annotated[Many[Alert], Field(max_length=MAXIMUM_RULES)] = ()
    delivery_profiles: Many[DeliveryProfile] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _with_its_profiles(cls, data: object, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Its offers find its own profiles, wherever those stand in the file."""
        with knowing(known_profiles(data if isinstance(data, Mapping) else {})):
            return read(data)


def read_marketplace(data: Mapping[str, object]) -> Marketplace:
    """The marketplace behind plain data that has every id. Raises ConfigError."""
    try:
        return Marketplace.model_validate(data)
    except ValidationError as error:
        raise ConfigError(faults_of(error, data)) from None


def read_offer(data: Mapping[str, object], profiles: Mapping[str, Settings] = BUILT_IN) -> Offer:
    """The offer behind plain data that has its id. Raises ConfigError.

    ``profiles`` are the delivery profiles of its marketplace.
    """
    try:
        with knowing(profiles):
            return Offer.model_validate(data)
    except ValidationError as error:
        raise ConfigError(faults_of(error, data)) from None


def to_plain(model: Model, *, as_given: bool = False) -> dict[str, object]:
    """A model as JSON types: what was set, money as text, secrets as an export shows them.

    ``as_given``: secrets as they were given, plain ones in plain.
    """
    context = {SHOW_SECRETS: True} if as_given else None
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True, context=context)


def export_yaml(marketplace: Marketplace, revision: int | None = None) -> str:
    """The marketplace as a file that ``apply`` takes, secrets as references.

    With a ``revision`` it is refused where another one is in force by then. Buyers that voice
    agents make are left out: applying the file makes them again.
    """
    exported = without_voice_bots(to_plain(marketplace))
    plain = {key: each for key, each in exported.items() if key != "revision"}
    return dump_yaml(plain if revision is None else {"revision": revision, **plain})
