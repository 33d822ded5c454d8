"""What a worker is told by the process that started it."""

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import SecretStr

from config.settings import Settings

MOST_BYTES = 4 * 1024 * 1024

READY = b"ready\n"
"""What a worker says once it takes calls."""

LEAVE = b"leave\n"
"""The order to take no new connection and to end once the open ones are gone."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One worker's work. ``listeners``, ``page`` and ``board`` are file descriptors it inherits.

    ``dsn`` is the URL of a database that has the whole schema.
    """

    number: int
    dsn: str
    settings: Settings
    listeners: tuple[int, ...]
    page: int
    board: int
    place: int

    def encode(self) -> bytes:
        """One line, secrets included: for a socket that nobody else has."""
        values = self.settings.model_dump(mode="json")
        revealed = {name: _revealed(getattr(self.settings, name)) for name in values}
        told = {
            "number": self.number,
            "dsn": self.dsn,
            "listeners": self.listeners,
            "page": self.page,
            "board": self.board,
            "place": self.place,
            "settings": {
                name: values[name] if plain is None else plain for name, plain in revealed.items()
            },
        }
        return orjson.dumps(told) + b"\n"


def decode(line: bytes) -> Assignment:
    """The assignment that was encoded."""
    told: dict[str, Any] = orjson.loads(line)
    return Assignment(
        number=told["number"],
        dsn=told["dsn"],
        settings=Settings(**told["settings"]),
        listeners=tuple(told["listeners"]),
        page=told["page"],
        board=told["board"],
        place=told["place"],
    )


def _revealed(value: object) -> str | None:
    return value.get_secret_value() if isinstance(value, SecretStr) else None
