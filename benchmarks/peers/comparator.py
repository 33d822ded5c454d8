"""What a comparator is to a run: found, built, started, asked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

OURS_BARE: Final = "ours-bare"
OURS_WHOLE: Final = "ours-whole"


class UnavailableError(Exception):
    """A comparator can't take part; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a comparator may use: an empty folder and a free port of 127.0.0.1."""

    folder: Path
    port: int


@dataclass(frozen=True, slots=True)
class Comparator:
    """A bare fan-out. ``build`` gives the command that serves it, or raises UnavailableError."""

    name: str
    title: str
    build: Callable[[Place], Awaitable[Sequence[str]]]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A comparator that takes no part, and why."""

    name: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something that is running and decides calls at ``port``; ``pid`` leads its processes.

    ``token`` is what callers show; a bare fan-out does not look at it.
    """

    name: str
    title: str
    port: int
    pid: int
    token: str = field(default="none", repr=False)
