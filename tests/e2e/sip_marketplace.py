"""The marketplace that the switch's calls are sold on, and the buyers who bid there."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.e2e.sip_plans import CAPPED, EMPTY, MANY, MINIMUM_S, OPEN, PRICES, SLOW, TOLD
from tests.e2e.sipp import HOST

CAMPAIGNS = {
    "capped": CAPPED,
    "open": OPEN,
    "slow": SLOW,
    "empty": EMPTY,
    "told": TOLD,
    "many": MANY,
}
STATIC = frozenset({"gamma-open", "gamma-many"})
NUMBERS = {"beta-told": "tel:+18885550142"}
"""Offers whose destination is a telephone number: their call centre is the gateway's."""

REQUIRED = {"alpha-told": ["zip_code"]}
MOST_KEPT = 1000
BUDGETS = {"budget_ms": 5000, "post_budget_ms": 2000}
SLOW_MS = 700
DIAL_S = 2


def marketplace(ports: Mapping[str, int], buyers_port: int, cap: int) -> dict[str, object]:
    """Every offer of ``PRICES``; ``ports``: where its call centre is; ``cap``: of the best one."""
    return {
        "currency": "USD",
        "campaigns": [
            {"id": name, "name": name, "numbers": [number], "auction": BUDGETS}
            for name, number in CAMPAIGNS.items()
        ],
        "sources": [{"id": "pub-17", "name": "A publisher"}],
        "buyers": [
            {
                "id": f"buyer-{offer}",
                "name": offer,
                "offers": [_offer(offer, ports, buyers_port, cap)],
            }
            for offer in PRICES
        ],
    }


def _offer(offer: str, ports: Mapping[str, int], buyers_port: int, cap: int) -> dict[str, object]:
    terms: dict[str, object] = {
        "id": offer,
        "campaign": "slow" if offer == "slow-bidder" else offer.rpartition("-")[2],
        "destination": {
            "uri": NUMBERS.get(offer, f"sip:sales@{HOST}:{ports[offer]}"),
            "dial_timeout_s": DIAL_S,
        },
        "required_fields": REQUIRED.get(offer, []),
        "conversions": [{"trigger": "timer", "connected_s": MINIMUM_S}],
    }
    if offer == "alpha-capped":
        terms["caps"] = [{"measure": "calls", "per": "total", "limit": cap}]
    if offer in STATIC:
        return {**terms, "static_price": str(PRICES[offer])}
    url = f"http://{HOST}:{buyers_port}/{offer}"
    asked = {
        part: {"url": f"{url}/{part}", "timeout_ms": 2500, "auth": {"type": "none"}}
        for part in ("ping", "post")
    }
    return {**terms, "ping_post": {"minimum_bid": "10.00", **asked}}


def buyers(buyers_port: int) -> dict[str, object]:
    """The script of the simulated buyers: each bids its price and takes what it has won."""
    return {
        "buyers": [
            {
                "name": offer,
                "port": buyers_port,
                "record": MOST_KEPT,
                "ping": {
                    "path": f"/{offer}/ping",
                    "bid": str(price),
                    "latency_ms": SLOW_MS if offer == "slow-bidder" else 20,
                    "minimum_duration_s": MINIMUM_S,
                },
                "post": {"path": f"/{offer}/post"},
            }
            for offer, price in PRICES.items()
            if offer not in STATIC
        ]
    }


def write(folder: Path, name: str, content: Mapping[str, object]) -> Path:
    """The file, as YAML."""
    path = folder / name
    path.write_text(yaml.safe_dump(dict(content)))
    return path
