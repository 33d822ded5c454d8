"""The quality of a call: a score from 0 to 100 by its campaign's rules and its source's history."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from auction.domain.call import Call
from auction.domain.filters import Filter, matches
from auction.domain.value import value

LEAST: Final = 0
MOST: Final = 100


@dataclass(frozen=True, slots=True)
class QualityRule:
    """Points for calls that meet every condition; below 0 they are taken away."""

    when: tuple[Filter, ...]
    points: int


@dataclass(frozen=True, slots=True)
class QualityTerms:
    """How a campaign scores its calls.

    A source whose calls convert twice as often as others' brings ``source_points``, one whose calls
    never convert as many below 0, and in proportion between.
    """

    base: int = 50
    rules: tuple[QualityRule, ...] = ()
    source_points: int = 0


@value(frozen=True, slots=True)
class Quality:
    """A call's score, and how much of it its source's history brought."""

    score: int
    source_points: int = 0


def rate(call: Call, terms: QualityTerms, standing: Decimal | None) -> Quality:
    """The quality of a call. ``standing``: its source's, from -1 to 1, None: not known."""
    points = terms.base
    for rule in terms.rules:
        if all(matches(condition, call) for condition in rule.when):
            points += rule.points
    brought = terms.source_points * (standing or Decimal(0))
    source_points = int(brought.to_integral_value(ROUND_HALF_EVEN))
    return Quality(min(max(points + source_points, LEAST), MOST), source_points)
