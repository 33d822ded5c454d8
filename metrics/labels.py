"""Which offers and campaigns have series of their own: the first that came, as many as allowed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from metrics.names import RESERVED_LABELS

DEFAULT_LABEL_LIMIT: Final = 1000
"""Of each of the two: 1,000 offers are about 63,000 series."""

_Id = TypeVar("_Id", bound=str)


@dataclass(frozen=True, slots=True)
class FirstCome:
    """Ids of a marketplace by the revision in which each first stood, the oldest first.

    Every process finds the same in the database, so that all of them show the same.
    """

    offers: Sequence[str] = ()
    campaigns: Sequence[str] = ()


def shown(present: Iterable[_Id], by_age: Sequence[str], limit: int) -> list[_Id]:
    """At most ``limit`` of those present, in order of id.

    They are the first by age; those whose age is not told come last, in order of id.
    """
    candidates = set(present) - RESERVED_LABELS
    if len(candidates) > limit:
        oldest = set(islice(filter(candidates.__contains__, by_age), limit))
        told = {each for each in candidates if each in oldest}
        candidates = told.union(sorted(candidates - told)[: limit - len(told)])
    return sorted(candidates)
