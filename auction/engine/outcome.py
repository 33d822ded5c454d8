"""How one offer ended in a decision, and its entry in the trace."""

from dataclasses import dataclass
from decimal import Decimal

import orjson

from auction.domain.bidding import Quote
from auction.domain.ids import OfferId, PingId
from auction.domain.money import render
from auction.domain.reasons import WON, Reason
from auction.domain.scoring import Odds, Weight

JsonValue = str | int | float | bool | None | dict[str, "JsonValue"] | list["JsonValue"]


@dataclass(slots=True)
class Outcome:
    """One offer's line of the trace while the decision goes on; ``reason`` None: it won.

    ``ping_id`` is of the bid, where there is one; it is not part of the trace. ``shadow``: what
    would have held the ping back, if it did more than count. ``weight``: what its bids are
    multiplied by in the ranking, where anything. ``written`` is its entry there, None since the
    last change.
    """

    offer: OfferId
    reason: Reason | None
    detail: str | None = None
    bid: Decimal | None = None
    ms: float | None = None
    rank: int | None = None
    static: bool = False
    quote: Quote | None = None
    ping_id: PingId | None = None
    shadow: str | None = None
    weight: Weight | None = None
    written: bytes | None = None

    def entry(self) -> bytes:
        """The entry as JSON; most stay as they were between the plan and the decision."""
        if self.written is None:
            self.written = orjson.dumps(_entry(self))
        return self.written


def _entry(outcome: Outcome) -> dict[str, JsonValue]:
    reason, bid, ms = outcome.reason, outcome.bid, outcome.ms
    entry: dict[str, JsonValue] = {
        "offer": outcome.offer,
        "outcome": WON if reason is None else reason.outcome,
        "code": None if reason is None else int(reason),
        "detail": outcome.detail,
        "bid": None if bid is None else render(bid),
        "ms": None if ms is None else round(ms, 3),
        "rank": outcome.rank,
    }
    if outcome.static:
        entry["static"] = True
    if outcome.shadow is not None:
        entry["shadow"] = outcome.shadow
    if outcome.weight is not None:
        entry.update(weight_entry(outcome.weight))
    if outcome.quote is not None:
        entry["quote"] = _quote(outcome.quote)
    return entry


def weight_entry(weight: Weight) -> dict[str, JsonValue]:
    """What an offer's bids are multiplied by, and why, as traces hold it."""
    entry: dict[str, JsonValue] = {"multiplier": f"{weight.multiplier.normalize():f}"}
    if weight.odds is not None:
        odds = weight.odds
        entry["odds"] = {
            "accepted": str(odds.accepted),
            "answered": str(odds.answered),
            "converted": str(odds.converted),
        }
    return entry


def read_weight(multiplier: object, odds: object) -> Weight | None:
    """What ``weight_entry`` has written, None where it wrote nothing."""
    if multiplier is None:
        return None
    read = None
    if isinstance(odds, dict):
        read = Odds(*(Decimal(odds[name]) for name in ("accepted", "answered", "converted")))
    return Weight(Decimal(str(multiplier)), read)


def _quote(quote: Quote) -> dict[str, JsonValue]:
    """What the buyer sent, but for what it left out."""
    sent = (
        ("amount", quote.amount),
        ("currency", quote.currency),
        ("bid_id", quote.bid_id),
        ("destination", _as_judged(quote.destination)),
        ("expires_in_s", quote.expires_in_s),
        ("minimum_duration_s", quote.minimum_duration_s),
    )
    return {name: _plain(value) for name, value in sent if value is not None}


def _as_judged(destination: object) -> object:
    """A number is no destination, and must not become one as text."""
    return [destination] if isinstance(destination, Decimal | float) else destination


_KEPT_CHARACTERS = 257
"""One more than the longest bid_id: one that is too long stays too long when it is judged again."""


def _plain(value: object) -> JsonValue:
    """A buyer's value as JSON: long text is cut, what is no scalar stays something else."""
    if isinstance(value, str):
        return value[:_KEPT_CHARACTERS]
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if not isinstance(value, int | Decimal):
        return {"unreadable": str(value)[:_KEPT_CHARACTERS]}
    return str(value)[:_KEPT_CHARACTERS]
