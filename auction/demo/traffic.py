"""The calls of a demo: who calls, when, and how the talk goes. Pure and seeded."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

DIALED_NUMBERS = ("+18005550170", "+18005550171")
SOURCES = ("pub-17", "pub-17", "pub-22")
TIMEOUT_MS = 1800

SECONDS_PER_TALK_SECOND = 1 / 150
"""Real seconds for each second that a talk is said to take: lines are busy, but not for long."""

_AREA_CODES = (
    *("213", "310", "415", "206", "503", "702", "602"),
    *("212", "718", "305", "407", "512", "214", "312", "404", "617"),
)
_ABROAD = ("+14165550123", "+442079460123")
_WITHHELD = ("anonymous", "restricted")
_RING_S = 0.08
_MOST_LEGS = 4

EndedBy = Literal["caller", "target"]
Fails = Literal["busy", "no_answer", "failed", "short_call"]

_FAILURES: tuple[tuple[float, Fails], ...] = (
    (0.05, "busy"),
    (0.10, "no_answer"),
    (0.11, "failed"),
    (0.14, "short_call"),
)
"""How often an attempt fails, and how: shares added up."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What happens where one attempt goes.

    ``fails``: the switch asks for the next route; None: the call ends there. ``connected_s`` is
    what the talk is said to take (0: nobody answers), ``holds_s`` how long the line is really kept.
    """

    ring_s: float
    connected_s: float
    fails: Fails | None

    @property
    def answered(self) -> bool:
        """Whether somebody picks up."""
        return self.connected_s > 0

    @property
    def holds_s(self) -> float:
        """Real seconds from answer to end."""
        return self.connected_s * SECONDS_PER_TALK_SECOND


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call. ``starts_at_s`` counts from the first call; ``legs`` are those of its attempts."""

    call_id: str
    starts_at_s: float
    dialed_number: str
    caller_id: str
    source: str
    fields: dict[str, str | int]
    legs: tuple[Leg, ...]
    ended_by: EndedBy

    def leg(self, attempt: int) -> Leg:
        """What happens at an attempt, counted from 1."""
        return self.legs[min(attempt, len(self.legs)) - 1]

    @property
    def request(self) -> dict[str, object]:
        """The body of ``POST /v1/calls``."""
        return {
            "call_id": self.call_id,
            "dialed_number": self.dialed_number,
            "caller_id": self.caller_id,
            "source": self.source,
            "fields": self.fields,
            "timeout_ms": TIMEOUT_MS,
        }


def demo_calls(count: int, seed: int, rate: float) -> Iterator[DemoCall]:
    """``count`` calls, on average ``rate`` a second; the same seed gives the same calls."""
    # Random on purpose: traffic has to be repeatable, not unguessable.
    random = Random(seed)  # noqa: S311 - see above
    at_s = 0.0
    callers: list[str] = []
    for number in range(1, count + 1):
        callers.append(_caller(random, callers))
        yield _call(random, number, seed, at_s, callers[-1])
        at_s += random.expovariate(rate)


def _call(random: Random, number: int, seed: int, at_s: float, caller_id: str) -> DemoCall:
    return DemoCall(
        call_id=f"demo-{seed}-{number:04d}@switch-1",
        starts_at_s=at_s,
        dialed_number=random.choice(DIALED_NUMBERS),
        caller_id=caller_id,
        source=random.choice(SOURCES),
        fields=_fields(random, number),
        legs=tuple(_leg(random) for _ in range(_MOST_LEGS)),
        ended_by="caller" if random.random() < 0.7 else "target",
    )


def _leg(random: Random) -> Leg:
    ring_s = _RING_S * (0.5 + random.random())
    share, talk_s = random.random(), min(round(20 + random.expovariate(1 / 140), 3), 500.0)
    for limit, fails in _FAILURES:
        if share < limit:
            return Leg(ring_s, 4.0 if fails == "short_call" else 0.0, fails)
    return Leg(ring_s, 0.0 if share > 0.97 else talk_s, None)


def _fields(random: Random, number: int) -> dict[str, str | int]:
    fields: dict[str, str | int] = {"vertical": "auto_insurance", "session": f"s{number:04d}"}
    if random.random() < 0.92:
        fields["zip_code"] = f"{random.randrange(501, 99951):05d}"
    fields["age"] = random.randrange(18, 80)
    fields["first_name"] = random.choice(("Ada", "Grace", "Alan", "Edsger"))
    return fields


def _caller(random: Random, earlier: list[str]) -> str:
    share = random.random()
    if share < 0.03:
        return random.choice(_WITHHELD)
    if share < 0.06:
        return random.choice(_ABROAD)
    if share < 0.14 and earlier:
        return random.choice(earlier)
    return f"+1{random.choice(_AREA_CODES)}555{random.randrange(100, 10_000):04d}"
