"""What reports count: sums per bucket of time and place, and what one decision adds to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Final, NotRequired, TypedDict

from auction.domain.log_bins import bin_of
from auction.domain.money import to_units
from auction.domain.reasons import HELD_BACK, Reason
from auction.domain.terms import BuyerType
from auction.domain.trace import ROUTED_UNANSWERED


class FigureClass(Enum):
    """What is reported apart from what is sold."""

    SOLD = "buyer"
    QUALITY_ASSURANCE = "quality_assurance"
    VOICE_BOT = "voice_bot"
    TEST = "test"

    @classmethod
    def of(cls, buyer_type: BuyerType, *, test: bool) -> "FigureClass":
        """Test calls are apart wherever they go, other calls by whom they are offered to."""
        return cls.TEST if test else _CLASSES[buyer_type]


_CLASSES: Final = {
    BuyerType.BUYER: FigureClass.SOLD,
    BuyerType.QUALITY_ASSURANCE: FigureClass.QUALITY_ASSURANCE,
    BuyerType.VOICE_BOT: FigureClass.VOICE_BOT,
}


class TracedOffer(TypedDict):
    """One offer's line of a stored trace, as far as it is counted; ``bid`` is a decimal text."""

    offer: str
    code: int | None
    detail: str | None
    bid: str | None
    ms: float | None
    rank: int | None
    static: NotRequired[bool]


@dataclass(slots=True)
class Figures:
    """Sums; amounts in the marketplace's currency, ``ping_micros`` in microseconds.

    ``reasons`` counts by number, ``bid_sizes`` (ten-thousandths) and ``ping_times`` (microseconds)
    count by bin (``log_bins``).
    """

    calls: int = 0
    unrouted: int = 0
    eligible: int = 0
    pinged: int = 0
    bids: int = 0
    no_bids: int = 0
    timeouts: int = 0
    errors: int = 0
    below_minimum: int = 0
    invalid_bids: int = 0
    not_awaited: int = 0
    auction_wins: int = 0
    static_wins: int = 0
    posts_accepted: int = 0
    posts_rejected: int = 0
    posts_unknown: int = 0
    post_errors: int = 0
    answered: int = 0
    completed: int = 0
    converted: int = 0
    ping_micros: int = 0
    bid_total: Decimal = Decimal(0)
    revenue: Decimal = Decimal(0)
    payout: Decimal = Decimal(0)
    reasons: dict[int, int] = field(default_factory=dict)
    bid_sizes: dict[int, int] = field(default_factory=dict)
    ping_times: dict[int, int] = field(default_factory=dict)

    @property
    def won(self) -> int:
        """Routes given, by auction or statically."""
        return self.auction_wins + self.static_wins

    @property
    def posts(self) -> int:
        """Posts of which is known what became of them, and those of which it is not."""
        return self.posts_accepted + self.posts_rejected + self.posts_unknown + self.post_errors

    @property
    def looked_at(self) -> int:
        """First decisions whose traces tell what became of an offer: eligible or refused."""
        refused = (count for code, count in self.reasons.items() if code in NOT_ELIGIBLE)
        return self.eligible + sum(refused)

    def add(self, other: "Figures") -> None:
        """Sum by sum, bin by bin."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in COUNTERS:
            counts = getattr(self, name)
            for key, count in getattr(other, name).items():
                counts[key] = counts.get(key, 0) + count


COUNTERS: Final = ("reasons", "bid_sizes", "ping_times")
SUMS: Final = tuple(each.name for each in fields(Figures) if each.name not in COUNTERS)

Tally = tuple[Figures, ...]
"""Sums of different fineness that the same things are added to."""

_ERRORS: Final = frozenset(
    {
        Reason.ERROR,
        Reason.MALFORMED_REPLY,
        Reason.UNREACHABLE,
        Reason.BAD_STATUS,
        Reason.OVERSIZE_REPLY,
    }
)
_NO_VALID_BID: Final[Mapping[int, str]] = {
    Reason.NO_BID: "no_bids",
    Reason.TIMEOUT: "timeouts",
    Reason.NOT_AWAITED: "not_awaited",
    Reason.BELOW_MINIMUM: "below_minimum",
    Reason.INVALID_BID: "invalid_bids",
    Reason.WRONG_CURRENCY: "invalid_bids",
    **dict.fromkeys(_ERRORS, "errors"),
}
_POSTS: Final[Mapping[int, str]] = {
    Reason.POST_REJECTED: "posts_rejected",
    Reason.POST_UNKNOWN: "posts_unknown",
    Reason.POST_ERROR: "post_errors",
}
NOT_ELIGIBLE: Final = (
    frozenset(range(Reason.NOT_ASKED, Reason.BID_REFUSED)) - HELD_BACK - {Reason.BUDGET_TOO_SMALL}
)
"""The reasons of offers that the call was not for, rather than of how asking them went."""

_FIRST: Final = 1


def count_call(tally: Tally, offers: Iterable[TracedOffer], weight: int = 1) -> None:
    """Count a call by its first decision."""
    routed = any(is_win(each) for each in offers)
    for figures in tally:
        figures.calls += weight
        figures.unrouted += 0 if routed else weight


def count_offer(tally: Tally, line: TracedOffer, attempt: int, weight: int = 1) -> None:
    """Count one offer's part in a decision; ``weight`` -1 takes it out again.

    A later attempt goes by earlier bids and repeats who said no: of it count the pings that it
    sent, what became of the offers that it ranked, and the route. Whom the call was not for is told
    of first decisions alone: those reasons and ``eligible`` are all that were looked at.
    """
    code, ms = line["code"], line["ms"]
    refused = code in NOT_ELIGIBLE
    if attempt == _FIRST and not refused:
        for figures in tally:
            figures.eligible += weight
    if ms is not None:
        _count_ping(tally, line, round(ms * 1000), weight)
    if code is None or line.get("static", False):
        _count_win(tally, line, weight)
    asked = not refused and (ms is not None or line["rank"] is not None)
    if code is not None and (attempt == _FIRST or asked):
        for figures in tally:
            figures.reasons[code] = figures.reasons.get(code, 0) + weight
        if code in _POSTS:
            _add(tally, _POSTS[code], weight)


def is_win(line: TracedOffer) -> bool:
    """Whether the call was routed to the offer, by auction or statically."""
    return line["code"] is None or line.get("static", False)


def _count_ping(tally: Tally, line: TracedOffer, micros: int, weight: int) -> None:
    code, text, place = line["code"], line["bid"], bin_of(micros)
    no_bid = None if code is None else _NO_VALID_BID.get(code)
    bid, size = (None, 0) if text is None or no_bid is not None else _read_bid(text)
    for figures in tally:
        figures.pinged += weight
        figures.ping_micros += weight * micros
        times = figures.ping_times
        times[place] = times.get(place, 0) + weight
        if bid is not None:
            figures.bids += weight
            figures.bid_total += bid if weight == 1 else bid * weight
            sizes = figures.bid_sizes
            sizes[size] = sizes.get(size, 0) + weight
    if no_bid is not None:
        _add(tally, no_bid, weight)


@lru_cache(maxsize=4096)
def _read_bid(text: str) -> tuple[Decimal, int]:
    """A bid and the bin of its size: buyers bid the same few amounts all the time."""
    bid = Decimal(text)
    return bid, bin_of(to_units(bid))


def _count_win(tally: Tally, line: TracedOffer, weight: int) -> None:
    """A route; a buyer that won by auction took it, unless its policy is not to wait for that."""
    if line.get("static", False):
        _add(tally, "static_wins", weight)
        return
    _add(tally, "auction_wins", weight)
    unanswered = line["detail"] == ROUTED_UNANSWERED
    _add(tally, "posts_unknown" if unanswered else "posts_accepted", weight)


def _add(tally: Tally, name: str, weight: int) -> None:
    for figures in tally:
        setattr(figures, name, getattr(figures, name) + weight)
