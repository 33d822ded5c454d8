"""What an operator has configured, as immutable terms that the decisions read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Final
from zoneinfo import ZoneInfo

from auction.domain.breaker import BreakerTerms
from auction.domain.call import Call
from auction.domain.filters import Filter
from auction.domain.hours import Hours
from auction.domain.ids import (
    BuyerId,
    CampaignId,
    OfferId,
    OwnerId,
    PoolId,
    SourceId,
    SuppressionId,
)
from auction.domain.numbers import NumberTerms, PoolTerms
from auction.domain.ping_rate import PingRateTerms
from auction.domain.quality import QualityTerms
from auction.domain.suppression import SuppressionRules
from auction.domain.validation import Requirement

_NOT_BILLED: Final = Decimal(0)


class BuyerType(Enum):
    """What a buyer is; only ``buyer`` takes part in auctions and is billed."""

    BUYER = "buyer"
    QUALITY_ASSURANCE = "quality_assurance"
    VOICE_BOT = "voice_bot"


class Measure(IntEnum):
    """What a cap counts; the value is its place in a ``Units`` tuple."""

    CALLS = 0
    ANSWERED = 1
    CONVERSIONS = 2
    REVENUE = 3


class Period(IntEnum):
    """How long a cap's window is; the value is its place in a ``Starts`` tuple."""

    HOUR = 0
    DAY = 1
    MONTH = 2
    TOTAL = 3


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit per window. ``limit`` is a count, or for revenue an amount in ten-thousandths."""

    measure: Measure
    period: Period
    limit: int


@dataclass(frozen=True, slots=True)
class OwnerLimits:
    """All limits of an offer or buyer. ``zone`` places its windows; concurrency None: no limit."""

    owner: OwnerId
    zone: ZoneInfo
    concurrency: int | None = None
    caps: tuple[Cap, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether anything here can refuse a call."""
        return self.concurrency is not None or bool(self.caps)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the switch sends the call. ``uri`` is ``sip:``, ``sips:`` or ``tel:+E.164``."""

    uri: str
    dial_timeout_s: int = 25
    send_digits: str | None = None
    whisper: str | None = None


class DuplicateAfter(Enum):
    """From which step of an earlier call on its caller counts as a duplicate."""

    ROUTED = "routed"
    ANSWERED = "answered"
    CONVERTED = "converted"


class DuplicateScope(Enum):
    """Whose earlier calls are looked at."""

    OFFER = "offer"
    BUYER = "buyer"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """Refuse a caller who reached this scope within so many days."""

    within_days: int
    after: DuplicateAfter
    scope: DuplicateScope


class Trigger(Enum):
    """The event that makes a call payable."""

    ANSWERED = "answered"
    TIMER = "timer"
    ATTEMPT = "attempt"
    POSTBACK = "postback"


@dataclass(frozen=True, slots=True)
class ConversionRule:
    """When a call converts and for how much (``amount`` None: the price)."""

    trigger: Trigger
    connected_s: int = 0
    amount: Decimal | None = None
    dedupe_days: int | None = None
    postback_within_h: int = 24


@dataclass(frozen=True, slots=True)
class PayoutRule:
    """When a source earns, and how much: an amount, or a percentage of the revenue.

    ``source`` None: every source. Exactly one of ``amount`` and ``percent`` is set.
    """

    source: SourceId | None
    trigger: Trigger
    connected_s: int = 0
    amount: Decimal | None = None
    percent: Decimal | None = None
    dedupe_days: int | None = None


class WebhookEvent(Enum):
    """What subscribers can be told."""

    CALL_ROUTED = "call.routed"
    CALL_ANSWERED = "call.answered"
    CALL_ENDED = "call.ended"
    CALL_CONVERTED = "call.converted"
    CONVERSION_AMENDED = "conversion.amended"
    CAP_REACHED = "cap.reached"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A webhook and the events it is sent; ``owner`` is ``campaign:<id>`` or ``buyer:<id>``."""

    owner: str
    webhook: str
    events: frozenset[WebhookEvent]


@dataclass(frozen=True, slots=True)
class ReturnTerms:
    """What an offer's buyer may claim.

    ``reasons`` empty: any; ``claws_back``: a return takes the payout back too.
    """

    within_days: int
    reasons: frozenset[str] = frozenset()
    claws_back: bool = False


class OnUnknown(Enum):
    """What to do when a post was sent and no readable answer came."""

    NEXT = "next"
    ROUTE = "route"


class RankBy(Enum):
    """What an auction ranks valid bids by."""

    PRICE = "price"
    EXPECTED_REVENUE = "expected_revenue"


@dataclass(frozen=True, slots=True)
class PingPostTerms:
    """How an offer bids and is posted; addresses and dialects live in the buyer gateway."""

    minimum_bid: Decimal
    ping_timeout_ms: int
    maximum_bid: Decimal | None = None
    fixed_amount: Decimal | None = None
    bid_valid_s: int = 60
    on_unknown: OnUnknown = OnUnknown.NEXT
    posts: bool = True
    post_timeout_ms: int = 0
    post_idempotent: bool = False
    breaker: BreakerTerms | None = None
    ping_rate: PingRateTerms | None = None

    @property
    def ceiling(self) -> Decimal | None:
        """The highest amount this offer could still bid, when that is known."""
        return self.fixed_amount if self.fixed_amount is not None else self.maximum_bid


@dataclass(frozen=True, slots=True)
class Segment:
    """Calls that go only to buyers with one of some tags: those that meet every condition."""

    name: str
    when: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Boost:
    """What a bid counts for in the ranking, times this; ``source`` None: whoever sent the call."""

    factor: Decimal
    source: SourceId | None = None


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """One buyer's terms on one campaign, with all that its buyer adds to them.

    ``outside`` are the segments of the campaign that its buyer does not belong to.
    """

    id: OfferId
    campaign: CampaignId
    buyer: BuyerId
    buyer_type: BuyerType
    limits: tuple[OwnerLimits, OwnerLimits]
    enabled: bool = True
    buyer_enabled: bool = True
    destination: Destination | None = None
    hours: Hours | None = None
    required_fields: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    outside: tuple[Segment, ...] = ()
    boosts: tuple[Boost, ...] = ()
    blocked_sources: frozenset[SourceId] = frozenset()
    priority: int = 1
    weight: int = 1
    static_price: Decimal | None = None
    ping_post: PingPostTerms | None = None
    conversions: tuple[ConversionRule, ...] = (ConversionRule(Trigger.ANSWERED),)
    duplicates: DuplicateRule | None = None
    returns: ReturnTerms | None = None

    @property
    def billed(self) -> bool:
        """Whether calls to this offer bring revenue, and pay their source."""
        return self.buyer_type is BuyerType.BUYER

    @property
    def auctioned(self) -> bool:
        """Whether this offer is asked for bids."""
        return self.ping_post is not None and self.billed

    @property
    def static_amount(self) -> Decimal | None:
        """The price of a static route, None when never routed statically; 0 when not billed."""
        return self.static_price if self.billed else _NOT_BILLED


@dataclass(frozen=True, slots=True)
class AuctionTerms:
    """Time and rules of a campaign's auction; times in milliseconds.

    ``boosted``: some of its offers have boosts.
    """

    budget_ms: int = 2000
    post_budget_ms: int = 800
    reply_reserve_ms: int = 30
    close_at_bid: Decimal | None = None
    rank_by: RankBy = RankBy.PRICE
    boosted: bool = False

    @property
    def scored(self) -> bool:
        """Whether bids are ranked by anything but their amount."""
        return self.boosted or self.rank_by is not RankBy.PRICE


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days a campaign's callers, and its calls, are kept; None: for ever."""

    pii_days: int | None = None
    calls_days: int | None = None


@dataclass(frozen=True, slots=True)
class Campaign:
    """Where calls come in, with every offer on it in order of id."""

    id: CampaignId
    name: str
    offers: tuple[OfferTerms, ...] = ()
    numbers: tuple[str, ...] = ()
    private_fields: frozenset[str] = frozenset()
    auction: AuctionTerms = field(default_factory=AuctionTerms)
    reauction: bool = False
    max_call_s: int = 14400
    reports_answered: bool = True
    no_route_destination: Destination | None = None
    allowed_countries: frozenset[str] = frozenset()
    caller_blocklist: frozenset[str] = frozenset()
    duplicates: DuplicateRule | None = None
    payouts: tuple[PayoutRule, ...] = ()
    subscribers: tuple[Subscriber, ...] = ()
    suppressions: SuppressionRules = field(default_factory=dict)
    retention: Retention = Retention()
    quality: QualityTerms | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One immutable revision of the whole marketplace. ``zone`` is the marketplace's.

    ``numbers`` are those with terms of their own, ``lendable`` tells how many numbers of pools a
    source may have at once, where that is limited. ``longest_budget_ms`` is that of the slowest
    auction, or the default without campaigns.
    """

    revision: int
    currency: str
    zone: ZoneInfo
    campaigns: Mapping[CampaignId, Campaign]
    campaign_by_number: Mapping[str, CampaignId]
    offers: Mapping[OfferId, OfferTerms]
    default_country: str = "US"
    buyer_subscribers: Mapping[BuyerId, tuple[Subscriber, ...]] = field(default_factory=dict)
    suppression_lists: frozenset[SuppressionId] = frozenset()
    numbers: Mapping[str, NumberTerms] = field(default_factory=dict)
    pools: Mapping[PoolId, PoolTerms] = field(default_factory=dict)
    pool_by_number: Mapping[str, PoolTerms] = field(default_factory=dict)
    lendable: Mapping[SourceId, int] = field(default_factory=dict)
    longest_budget_ms: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        budgets = [campaign.auction.budget_ms for campaign in self.campaigns.values()]
        longest = max(budgets, default=AuctionTerms().budget_ms)
        object.__setattr__(self, "longest_budget_ms", longest)

    def number_of(self, call: Call) -> NumberTerms | None:
        """The terms of the number that the call dialled, where it has any of its own."""
        dialed = call.dialed_number
        return None if dialed is None else self.numbers.get(dialed)

    def pool_of(self, call: Call) -> PoolTerms | None:
        """The pool of the number that the call dialled, where that is lent."""
        dialed = call.dialed_number
        return None if dialed is None else self.pool_by_number.get(dialed)

    def subscribers(
        self, campaign: CampaignId | None, buyer: BuyerId | None
    ) -> tuple[Subscriber, ...]:
        """The webhooks of a campaign and of a buyer; those that are not known have none."""
        known = None if campaign is None else self.campaigns.get(campaign)
        of_campaign = () if known is None else known.subscribers
        return of_campaign if buyer is None else of_campaign + self.buyer_subscribers.get(buyer, ())
