"""The decision in ``X-Pingpost-*`` headers, for switches that read headers more easily."""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

from auction.web.formats.decision import Decision, Scalar

_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F)))
"""What a header may hold as it is; everything else is percent-encoded as UTF-8."""

_NAMES: Final = {
    "call_id": "X-Pingpost-Call-Id",
    "action": "X-Pingpost-Action",
    "routed_by": "X-Pingpost-Routed-By",
    "attempt": "X-Pingpost-Attempt",
    "offer": "X-Pingpost-Offer",
    "buyer": "X-Pingpost-Buyer",
    "price": "X-Pingpost-Price",
    "currency": "X-Pingpost-Currency",
    "minimum_duration_s": "X-Pingpost-Minimum-Duration",
    "expires_at": "X-Pingpost-Expires-At",
    "reason": "X-Pingpost-Reason",
    "elapsed_ms": "X-Pingpost-Elapsed-Ms",
}
HEADERS: Final = (*_NAMES.values(), "X-Pingpost-Destination", "X-Pingpost-Dial-Timeout")


def decision_headers(decision: Decision) -> Mapping[str, str]:
    """A header for everything that is there. No value can end its line."""
    return {name: _line(value) for name, value in _headers(decision) if value is not None}


def _headers(decision: Decision) -> Iterator[tuple[str, Scalar]]:
    for key, name in _NAMES.items():
        yield name, decision.values.get(key)
    if decision.dial is not None:
        yield "X-Pingpost-Destination", decision.dial.uri
        yield "X-Pingpost-Dial-Timeout", decision.dial.timeout_s


def _line(value: Scalar) -> str:
    return quote(str(value), safe=_PRINTABLE).strip()
