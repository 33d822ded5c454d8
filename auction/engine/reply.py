"""The answer to the switch, as the bytes that are stored and sent."""

from datetime import datetime

import orjson

from auction.domain.call import Call
from auction.domain.finishing import Action
from auction.domain.money import render
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.terms import Destination
from auction.domain.value import value


@value(frozen=True, slots=True)
class Reply:
    """What the switch is told; a no-route has the campaign's own destination, if any."""

    call: Call
    attempt: int
    candidate: Candidate | None
    destination: Destination | None
    currency: str
    reason: str | None

    @property
    def action(self) -> Action:
        """Route or no route."""
        return Action.NO_ROUTE if self.candidate is None else Action.ROUTE

    @property
    def routed_by(self) -> RoutedBy | None:
        """How the route was found."""
        return None if self.candidate is None else self.candidate.routed_by

    def dump(self, elapsed_ms: float) -> bytes:
        """The JSON of the contract. A repeat of the request gets the same bytes."""
        won = self.candidate
        return orjson.dumps(
            {
                "call_id": self.call.call_id,
                "action": self.action.value,
                "routed_by": None if won is None else won.routed_by.value,
                "attempt": self.attempt,
                "offer": None if won is None else won.offer,
                "buyer": None if won is None else won.buyer,
                "destination": _destination(self.destination),
                "price": None if won is None else render(won.price),
                "currency": None if won is None else self.currency,
                "minimum_duration_s": None if won is None else won.minimum_duration_s,
                "expires_at": None if won is None else _instant(won.expires_at),
                "reason": self.reason,
                "elapsed_ms": round(elapsed_ms, 3),
            }
        )


def _destination(destination: Destination | None) -> dict[str, str | int | None] | None:
    if destination is None:
        return None
    return {
        "uri": destination.uri,
        "dial_timeout_s": destination.dial_timeout_s,
        "send_digits": destination.send_digits,
        "whisper": destination.whisper,
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
