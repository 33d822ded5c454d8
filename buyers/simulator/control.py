"""The paths under ``/_`` of every port: counts, changes, a fresh start."""

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode

import orjson

from buyers.simulator.authentication import credential_name
from buyers.simulator.buyer import SimulatedBuyer
from buyers.simulator.counts import PortCounts
from buyers.simulator.replies import REDIRECTED_PATH, Reply, json_response
from buyers.simulator.request import Request
from buyers.simulator.script import ScriptError

_HIDDEN = "***"
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "x-signature"})
"""Hidden whatever the buyer was promised: who asks may have the wrong idea of it."""


def counts(buyers: Iterable[SimulatedBuyer], ports: PortCounts) -> dict[str, object]:
    """What ``GET /_counts`` answers."""
    return {
        "buyers": {buyer.name: buyer.counts.as_json() for buyer in buyers},
        "connections": ports.as_json(),
    }


def control(
    request: Request, buyers: Mapping[str, SimulatedBuyer], ports: PortCounts
) -> Reply | None:
    """The reply to a control request, None for a path that is none."""
    match request.method, request.path:
        case "GET", "/_counts":
            return Reply(json_response(200, counts(buyers.values(), ports)))
        case "GET", "/_requests":
            return Reply(json_response(200, {name: _seen(buyer) for name, buyer in buyers.items()}))
        case "POST", "/_script":
            return _change(request, buyers)
        case "POST", "/_reset":
            for buyer in buyers.values():
                buyer.reset()
            return Reply(json_response(200, {"reset": list(buyers)}))
        case _, path if path == REDIRECTED_PATH:
            for buyer in buyers.values():
                buyer.counts.redirects_followed += 1
            return Reply(json_response(200, {"accepted": True, "bid": "99.00", "bid_id": "moved"}))
    return None


def _change(request: Request, buyers: Mapping[str, SimulatedBuyer]) -> Reply:
    try:
        change = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return Reply(json_response(400, {"faults": ["not JSON"]}))
    name = change.pop("buyer", None) if isinstance(change, dict) else None
    buyer = buyers.get(name) if isinstance(name, str) else None
    if buyer is None:
        return Reply(json_response(404, {"faults": [f"no such buyer; known: {list(buyers)}"]}))
    try:
        buyer.change(change)
    except ScriptError as error:
        return Reply(json_response(422, {"faults": list(error.faults)}))
    return Reply(json_response(200, {"changed": buyer.name}))


def _seen(buyer: SimulatedBuyer) -> list[dict[str, object]]:
    secret = credential_name(buyer.script.auth).lower()
    return [
        {
            "method": request.method,
            "path": request.path,
            "query": _without(secret, request.query),
            "headers": {
                name: _HIDDEN if name in _SECRET_HEADERS or name == secret else value
                for name, value in request.headers.items()
            },
            "body": request.body.decode("utf-8", "replace"),
        }
        for request in buyer.requests
    ]


def _without(secret: str, query: str) -> str:
    """The query as it came, or, where it carries the credential, written anew without it."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name.lower() == secret for name, _ in pairs):
        return query
    shown = [(name, _HIDDEN if name.lower() == secret else value) for name, value in pairs]
    return urlencode(shown, safe="*")
