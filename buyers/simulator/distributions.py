"""How long a simulated buyer takes and how much it bids: a number in [0, 1) in, a value out."""

import math
import re
from decimal import Decimal
from statistics import NormalDist
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

LONGEST_MS = 120_000
"""No scripted latency exceeds this many milliseconds."""

_STANDARD = NormalDist()
_SMALLEST = 2.0**-53
_AMOUNT_TEXT = re.compile(r"[^\"\\<>&\x00-\x1f\x7f]{1,64}")

T = TypeVar("T")

Milliseconds = Annotated[float, Field(ge=0, le=LONGEST_MS, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Bounded(_Model):
    low: Milliseconds = 0
    high: Milliseconds = LONGEST_MS

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self

    def _bounded(self, milliseconds: float) -> float:
        return min(max(milliseconds, self.low), self.high) / 1000


class ConstantLatency(_Model):
    """Always ``value`` milliseconds."""

    distribution: Literal["constant"]
    value: Milliseconds

    def seconds(self, _: float) -> float:
        """The latency in seconds."""
        return self.value / 1000


class UniformLatency(_Bounded):
    """Evenly between ``low`` and ``high`` milliseconds."""

    distribution: Literal["uniform"]

    def seconds(self, share: float) -> float:
        """The latency in seconds at ``share`` (0 to 1) of the distribution."""
        return (self.low + share * (self.high - self.low)) / 1000


class NormalLatency(_Bounded):
    """A normal distribution cut off (not heaped up) at ``low`` and ``high``."""

    distribution: Literal["normal"]
    mean: Milliseconds
    deviation: Annotated[float, Field(gt=0, le=LONGEST_MS)]

    def seconds(self, share: float) -> float:
        """The latency in seconds at ``share`` (0 to 1) of the distribution."""
        return self._bounded(_truncated(self.mean, self.deviation, self.low, self.high, share))


class LognormalLatency(_Bounded):
    """Half of the answers come within ``median``; ``sigma`` is the deviation of the logarithm."""

    distribution: Literal["lognormal"]
    median: Annotated[float, Field(gt=0, le=LONGEST_MS)]
    sigma: Annotated[float, Field(gt=0, le=10)]

    def seconds(self, share: float) -> float:
        """The latency in seconds at ``share`` (0 to 1) of the distribution."""
        deviations = _STANDARD.inv_cdf(max(share, _SMALLEST))
        return self._bounded(self.median * math.exp(self.sigma * deviations))


class ExponentialLatency(_Bounded):
    """``low`` plus an exponential tail with the given ``mean`` over it, at most ``high``."""

    distribution: Literal["exponential"]
    mean: Annotated[float, Field(gt=0, le=LONGEST_MS)]

    def seconds(self, share: float) -> float:
        """The latency in seconds at ``share`` (0 to 1) of the distribution."""
        return self._bounded(self.low - self.mean * math.log1p(-share))


def _number_is_constant(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"distribution": "constant", "value": value}
    return value


Latency = Annotated[
    Annotated[
        ConstantLatency | UniformLatency | NormalLatency | LognormalLatency | ExponentialLatency,
        Field(discriminator="distribution"),
    ],
    BeforeValidator(_number_is_constant),
]
"""A latency distribution; a bare number of milliseconds is constant."""


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError('write amounts as text: "52.00"')
    return value


def _sendable(value: str) -> str:
    if not _AMOUNT_TEXT.fullmatch(value):
        raise ValueError("1 to 64 printable characters without quotes, <, > and &")
    return value


def _as_text(value: object) -> object:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_whole else _no_float(value)


def not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    """The items. Raises ValueError when there are none.

    Pydantic's own minimum counts valid items only, and so reports a fault too many.
    """
    if not items:
        raise ValueError("at least one is needed")
    return items


AmountText = Annotated[str, BeforeValidator(_as_text), AfterValidator(_sendable)]
"""What is sent as the amount, as it is written: ``52.00``, but ``$52.50`` or ``abc`` too."""

Dollars = Annotated[
    Decimal, BeforeValidator(_no_float), Field(ge=0, le=1_000_000, allow_inf_nan=False)
]


class ConstantAmount(_Model):
    """Always the same text."""

    distribution: Literal["constant"]
    value: AmountText

    def text(self, _: float) -> str:
        """The amount as it goes on the wire."""
        return self.value


class ChoiceAmount(_Model):
    """One of ``values``, each as likely as the next."""

    distribution: Literal["choice"]
    values: Annotated[tuple[AmountText, ...], AfterValidator(not_empty)]

    def text(self, share: float) -> str:
        """The amount as it goes on the wire, at ``share`` (0 to 1) of the distribution."""
        return self.values[int(share * len(self.values))]


class _AmountRange(_Model):
    low: Dollars
    high: Dollars

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class UniformAmount(_AmountRange):
    """Whole cents, evenly from ``low`` to ``high``, both included."""

    distribution: Literal["uniform"]

    def text(self, share: float) -> str:
        """The amount as it goes on the wire, at ``share`` (0 to 1) of the distribution."""
        low, high = _cents(self.low), _cents(self.high)
        return _render_cents(low + int(share * (high - low + 1)))


class NormalAmount(_AmountRange):
    """Whole cents, normally distributed and cut off at ``low`` and ``high``."""

    distribution: Literal["normal"]
    mean: Dollars
    deviation: Annotated[Dollars, Field(gt=0)]

    def text(self, share: float) -> str:
        """The amount as it goes on the wire, at ``share`` (0 to 1) of the distribution."""
        low, high = _cents(self.low), _cents(self.high)
        drawn = _truncated(_cents(self.mean), _cents(self.deviation), low, high, share)
        return _render_cents(min(max(round(drawn), low), high))


def _text_is_constant(value: object) -> object:
    return value if isinstance(value, dict) else {"distribution": "constant", "value": value}


Amounts = Annotated[
    Annotated[
        ConstantAmount | ChoiceAmount | UniformAmount | NormalAmount,
        Field(discriminator="distribution"),
    ],
    BeforeValidator(_text_is_constant),
]
"""A distribution of bids; a bare text is constant."""


def _truncated(mean: float, deviation: float, low: float, high: float, share: float) -> float:
    """The value at ``share`` of a normal distribution from which all outside low..high is cut."""
    below = _STANDARD.cdf((low - mean) / deviation)
    within = _STANDARD.cdf((high - mean) / deviation) - below
    place = min(max(below + share * within, _SMALLEST), 1 - _SMALLEST)
    return mean + deviation * _STANDARD.inv_cdf(place)


def _cents(amount: Decimal) -> int:
    return int(amount * 100)


def _render_cents(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
