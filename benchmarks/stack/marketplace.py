"""A marketplace in which every feature that costs time per call is on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from benchmarks.stack.buyer_options import credential_of

CAMPAIGN: Final = "bench"
DIALED_NUMBER: Final = "+18005550100"
SOURCE: Final = "pub-17"
VERTICAL: Final = "auto_insurance"

_PLENTY: Final = 1_000_000
"""Limits are checked on every call and never reached: a run is about cost, not about refusals."""

_OFFERS_PER_BUYER: Final = 10
_TIMEOUT_MS: Final = 1500


class Layout(Enum):
    """Where offers stand that are configured and not eligible for the calls of a run."""

    CAMPAIGNS = "campaigns"
    FILTERS = "filters"


@dataclass(frozen=True, slots=True)
class MarketplaceOptions:
    """``ports`` are those of the buyers that are asked on every call, one offer each.

    ``offers`` is how many are configured in all, at least one per port; what is more stands in
    other campaigns, or in the same campaign behind a filter that calls don't pass.
    """

    ports: tuple[int, ...]
    offers: int = 0
    layout: Layout = Layout.FILTERS
    transport: str | None = None
    scheme: str = "http"
    host: str = "127.0.0.1"


def asked_offer(number: int) -> str:
    """The offer of buyer ``number``, one that is asked on every call."""
    return f"asked-{number}"


def make_marketplace(options: MarketplaceOptions) -> dict[str, Any]:
    """The marketplace file's content."""
    others = max(0, options.offers - len(options.ports))
    campaigns = [_campaign(CAMPAIGN, DIALED_NUMBER)]
    if options.layout is Layout.CAMPAIGNS:
        campaigns += [_campaign(name, None) for name in _other_campaigns(others)]
    return {
        "currency": "USD",
        "time_zone": "America/New_York",
        "campaigns": campaigns,
        "sources": [{"id": SOURCE, "name": "Quote comparison site"}],
        "buyers": [*_asked_buyers(options), *_other_buyers(options, others)],
    }


def _campaign(name: str, number: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "numbers": [] if number is None else [number],
        "private_fields": ["first_name", "last_name", "email"],
        "auction": {"budget_ms": 4000, "post_budget_ms": 1500, "reply_reserve_ms": 30},
        "allowed_countries": ["US"],
        "duplicates": {"within_days": 30, "after": "converted", "scope": "campaign"},
        "payouts": [{"source": SOURCE, "trigger": "timer", "connected_s": 30, "percent": 65}],
    }


def _other_campaigns(others: int) -> list[str]:
    count = -(-others // _OFFERS_PER_BUYER)
    return [f"other-{number}" for number in range(count)]


def _asked_buyers(options: MarketplaceOptions) -> Iterator[dict[str, Any]]:
    for number, port in enumerate(options.ports):
        offer = _offer(asked_offer(number), CAMPAIGN, number, port, options)
        yield _buyer(f"buyer-{number}", [offer])


def _other_buyers(options: MarketplaceOptions, others: int) -> Iterator[dict[str, Any]]:
    for first in range(0, others, _OFFERS_PER_BUYER):
        group = first // _OFFERS_PER_BUYER
        numbers = range(first, min(first + _OFFERS_PER_BUYER, others))
        yield _buyer(f"other-{group}", [_other_offer(options, group, each) for each in numbers])


def _other_offer(options: MarketplaceOptions, group: int, number: int) -> dict[str, Any]:
    asked = number % len(options.ports)
    if options.layout is Layout.CAMPAIGNS:
        place = f"other-{group}"
        return _offer(f"other-{number}", place, asked, options.ports[asked], options)
    offer = _offer(f"other-{number}", CAMPAIGN, asked, options.ports[asked], options)
    offer["filters"] = _filters(f"{10_000 + number}")
    return offer


def _buyer(name: str, offers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "company": "Bench Mutual",
        "time_zone": "America/Chicago",
        "concurrency": _PLENTY,
        "caps": [{"measure": "calls", "per": "day", "limit": _PLENTY}],
        "offers": list(offers),
    }


def _offer(
    name: str, campaign: str, asked: int, port: int, options: MarketplaceOptions
) -> dict[str, Any]:
    base = f"{options.scheme}://{options.host}:{port}"
    auth = _auth(asked)
    ping_post = {
        "minimum_bid": "35.00",
        "maximum_bid": "90.00",
        "ping": {"url": f"{base}/ping", "timeout_ms": _TIMEOUT_MS, "auth": auth},
        "post": {"url": f"{base}/post", "timeout_ms": _TIMEOUT_MS, "auth": auth},
    }
    if options.transport is not None:
        ping_post["transport"] = options.transport
    return {
        "id": name,
        "campaign": campaign,
        "destination": {"uri": f"sip:{name}@bench.example", "dial_timeout_s": 20},
        "hours": {"time_zone": "America/Chicago", "weekly": {"mon-sun": ["00:00-24:00"]}},
        "concurrency": _PLENTY,
        "caps": [
            {"measure": "calls", "per": "day", "limit": _PLENTY},
            {"measure": "calls", "per": "month", "limit": 30 * _PLENTY},
        ],
        "required_fields": ["vertical", "zip_code"],
        "filters": _filters(None),
        "ping_post": ping_post,
        "conversions": [{"trigger": "timer", "connected_s": 30}],
        "duplicates": {"within_days": 30, "after": "converted", "scope": "offer"},
    }


def _filters(zip_code: str | None) -> list[dict[str, Any]]:
    """Those that a call of the run passes, unless it has to come from ``zip_code``."""
    filters: list[dict[str, Any]] = [
        {"field": "vertical", "op": "eq", "value": VERTICAL},
        {"field": "caller.country", "op": "in", "value": ["US"]},
        {"field": "age", "op": "between", "value": [18, 80]},
    ]
    if zip_code is not None:
        filters.insert(0, {"field": "zip_code", "op": "eq", "value": zip_code})
    return filters


def _auth(number: int) -> dict[str, str]:
    """Bearer tokens and API keys take turns."""
    secret = credential_of(number)
    if number % 2:
        return {"type": "api_key", "name": "X-API-Key", "in": "header", "key": secret}
    return {"type": "bearer", "token": secret}
