"""Endpoints, occasions and marketplaces for tests of what talks to buyers."""

from collections.abc import Mapping
from typing import Any

from auction.domain.call import Caller, FieldValue
from buyers.tokens import CallerIdMode, CallerIdRule, Occasion
from config.endpoints import PingEndpoint, PostEndpoint, Response
from config.marketplace import Marketplace, read_marketplace
from tests.builders import CALLER, a_call

PLAIN = CallerIdRule(CallerIdMode.PLAIN)
WITHHELD = CallerIdRule(CallerIdMode.WITHHELD)
URL = "http://buyer.example/ping"


def an_occasion(
    fields: Mapping[str, FieldValue] | None = None, *, caller: Caller = CALLER, **changes: Any
) -> Occasion:
    """A ping for a call from California, unless it says otherwise."""
    call = a_call(caller=caller, fields=fields)
    values: dict[str, Any] = {
        "call": call,
        "campaign": "auto-insurance",
        "offer": "acme-auto",
        "ping_id": "ping-1",
        "fields": call.fields,
        "minimum_bid": "35.00",
        "timeout_ms": 500,
        **changes,
    }
    return Occasion(**values)


def a_post_occasion(**changes: Any) -> Occasion:
    """The post that follows it."""
    return an_occasion(**{"bid": "52.00", "bid_id": "b-1", "post_id": "post-1", **changes})


def a_ping_endpoint(**keys: Any) -> PingEndpoint:
    """A ping's address as a marketplace file would give it."""
    return PingEndpoint.model_validate({"url": URL, **keys})


def a_post_endpoint(**keys: Any) -> PostEndpoint:
    """A post's address as a marketplace file would give it."""
    return PostEndpoint.model_validate({"url": URL, **keys})


def a_response(**keys: Any) -> Response:
    """A mapping as a marketplace file would give it; a text stands for ``{at: text}``."""
    read = {
        key: {"at": value} if isinstance(value, str) and key != "format" else value
        for key, value in keys.items()
    }
    return Response.model_validate(read)


def a_marketplace(
    *pings: Mapping[str, Any], post: Mapping[str, Any] | None = None, **ping_post: Any
) -> Marketplace:
    """One campaign and one buyer whose offers ``offer-0``, ``offer-1``, … have these pings."""
    offers = [
        {
            "id": f"offer-{index}",
            "campaign": "auto-insurance",
            "destination": {"uri": "sip:sales@buyer.example"},
            "ping_post": {
                "minimum_bid": "35.00",
                "ping": {"url": URL, **ping},
                **({"post": {"url": URL, **post}} if post is not None else {}),
                **ping_post,
            },
        }
        for index, ping in enumerate(pings)
    ]
    return read_marketplace(
        {
            "campaigns": [{"id": "auto-insurance", "private_fields": ["email"]}],
            "buyers": [{"id": "acme", "offers": offers}],
        }
    )
