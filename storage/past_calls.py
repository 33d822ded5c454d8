"""A caller's earlier routes, as queries return them."""

from datetime import UTC, datetime

import orjson

from auction.domain.opening import PastCall


def load_routes(stored: str | None) -> tuple[PastCall, ...]:
    """Routes from a JSON array, newest first; none from null."""
    if stored is None:
        return ()
    return tuple(
        PastCall(offer, buyer, campaign, _instant(routed), _known(answered), _known(converted))
        for offer, buyer, campaign, routed, answered, converted in orjson.loads(stored)
    )


def _known(seconds: float | None) -> datetime | None:
    return None if seconds is None else _instant(seconds)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
