"""Decisions as they are stored, and requests of switches as they are sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.http.api_fakes import Api, Reply

ROUTE: Mapping[str, Any] = {
    "call_id": "c-1@switch-1",
    "action": "route",
    "routed_by": "auction",
    "attempt": 1,
    "offer": "acme-auto",
    "buyer": "acme",
    "destination": {
        "uri": "sip:sales@acme.example",
        "dial_timeout_s": 20,
        "send_digits": None,
        "whisper": None,
    },
    "price": "52.00",
    "currency": "USD",
    "minimum_duration_s": 90,
    "expires_at": "2026-11-21T18:00:30.000Z",
    "reason": None,
    "elapsed_ms": 143.2,
}
NO_ROUTE: Mapping[str, Any] = {
    **dict.fromkeys(ROUTE),
    "call_id": "c-1@switch-1",
    "action": "no_route",
    "attempt": 1,
    "reason": "no_eligible_offer",
    "elapsed_ms": 1.5,
}


def routed(call_id: str = "c-1@switch-1", attempt: int = 1, **destination: Any) -> bytes:
    """The answer that routes a call, with what is said of its destination."""
    where = {**ROUTE["destination"], **destination}
    return orjson.dumps({**ROUTE, "call_id": call_id, "attempt": attempt, "destination": where})


def not_routed(call_id: str = "c-1@switch-1", destination: str | None = None) -> bytes:
    """The answer to a call that nobody takes; its campaign may have a place for it."""
    where = None if destination is None else {**ROUTE["destination"], "uri": destination}
    return orjson.dumps({**NO_ROUTE, "call_id": call_id, "destination": where})


@dataclass(frozen=True)
class Recorded:
    """A request as a switch sends it; ``body`` is a form unless it says otherwise."""

    path: str
    body: str = ""
    method: str = "POST"
    content_type: str = "application/x-www-form-urlencoded"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def sent_to(self, api: Api, token: str | None = "calls") -> Reply:
        """What the API answers."""
        content = {"Content-Type": self.content_type} if self.body else {}
        return await api.send(
            self.method,
            self.path,
            token=token,
            data=self.body.encode() or None,
            headers={**content, **self.headers},
        )
