"""A decision as the formats render it: the answer that is stored and sent as JSON, read again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

Scalar = str | int | float | bool | None

_ROUTE: Final = "route"


@dataclass(frozen=True, slots=True)
class Dial:
    """Where the switch sends the call and for how long it lets it ring, in seconds."""

    uri: str
    timeout_s: int
    send_digits: str | None = None
    whisper: str | None = None

    @property
    def number(self) -> str | None:
        """The E.164 number of a ``tel:`` address, None for a SIP address."""
        return self.uri.removeprefix("tel:") if self.uri.startswith("tel:") else None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the switch is told. ``values`` are the keys of ``json``, ``destination`` aside."""

    json: bytes
    values: Mapping[str, Scalar]
    dial: Dial | None

    @property
    def routed(self) -> bool:
        """Whether the call was sold; a no-route may have a destination as well."""
        return self.values.get("action") == _ROUTE

    @property
    def call_id(self) -> str:
        """The call's id."""
        return str(self.values["call_id"])

    @property
    def attempt(self) -> int:
        """Which attempt of the call this is, from 1."""
        return int(self.values["attempt"] or 1)


def read_decision(answer: bytes) -> Decision:
    """The decision behind an answer of ``auction.engine.reply``."""
    values = orjson.loads(answer)
    where = values.pop("destination", None)
    if where is None:
        return Decision(answer, values, None)
    dial = Dial(where["uri"], where["dial_timeout_s"], where["send_digits"], where["whisper"])
    return Decision(answer, values, dial)
