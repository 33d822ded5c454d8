"""How many calls offers were there for, by the roster that each call was decided with.

A roster is what offers a campaign has from one revision of the marketplace on until it has others;
it is named by that revision.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, groupby, pairwise, product
from typing import NamedTuple

from auction.domain.report_figures import FigureClass, Figures
from auction.domain.report_question import By, Place, Summed


class CallGroup(NamedTuple):
    """Calls of a campaign and a source in a bucket; ``source`` is empty where all are together."""

    bucket: int
    campaign: str
    source: str
    test: bool


@dataclass(slots=True)
class RosterCalls:
    """First decisions: ``calls`` of them, and those that were counted by their roster.

    Those of before rosters were counted, and of an older program, are not among the latter.
    """

    calls: int = 0
    by_roster: dict[int, int] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether it is known of every call which roster it had."""
        return self.calls == sum(self.by_roster.values())


class OfferGroup(NamedTuple):
    """Offers of a campaign that are counted together: ``name`` is an offer's, a buyer's or empty.

    Empty: all of them.
    """

    campaign: str
    name: str
    figure_class: FigureClass


class RosterChange(NamedTuple):
    """How many offers a group has more, or fewer, from a revision on; ``buyer`` has one of them."""

    group: OfferGroup
    revision: int
    change: int
    buyer: str


class OfferCalls:
    """Decided calls times the offers that they might have gone to; None where that is not known."""

    def __init__(
        self, calls: Mapping[CallGroup, RosterCalls], changes: Iterable[RosterChange]
    ) -> None:
        self._calls = {group: _Counted.of(each) for group, each in calls.items()}
        self._named: dict[str, list[_Offers]] = defaultdict(list)
        self._all: dict[str, list[_Offers]] = defaultdict(list)
        for offers in _offers(changes):
            if offers.group.name:
                self._named[offers.group.name].append(offers)
            else:
                self._all[offers.group.campaign].append(offers)

    def of(self, by: By, figure_class: FigureClass, place: Place) -> int | None:
        """Those of one row of a report; tests are of the class of tests alone."""
        source = place.name if by is By.SOURCE else ""
        test = figure_class is FigureClass.TEST
        return _sum(
            offers.calls(calls)
            for offers in self._in(by, place.name)
            if test or offers.group.figure_class is figure_class
            for calls in self._at(CallGroup(place.bucket, offers.group.campaign, source, test))
        )

    def total(self) -> int | None:
        """Those of all that was for sale, whether a report has a row of it or not."""
        return _sum(
            offers.calls(calls)
            for group, calls in self._calls.items()
            if not group.test
            for offers in self._all.get(group.campaign, ())
            if offers.group.figure_class is FigureClass.SOLD
        )

    def rows_of(self, offer: str, buckets: int) -> Iterator[Summed]:
        """Rows without figures of one offer, where there were calls for it."""
        for bucket, figure_class in product(range(buckets), FigureClass):
            place = Place(bucket, offer)
            if self.of(By.OFFER, figure_class, place):
                newest = max(self._named[offer], key=lambda each: each.revisions[-1])
                campaign = newest.group.campaign
                yield Summed(place, figure_class, Figures(), campaign, newest.buyer)

    def _in(self, by: By, name: str) -> Iterable["_Offers"]:
        if by is By.CAMPAIGN:
            return self._all.get(name, ())
        if by is By.SOURCE:
            return chain.from_iterable(self._all.values())
        return self._named.get(name, ())

    def _at(self, group: CallGroup) -> Iterable["_Counted"]:
        return (self._calls[group],) if group in self._calls else ()


@dataclass(frozen=True, slots=True)
class Reported:
    """The answer to a question: its sets of figures, and how many calls their offers were for."""

    summed: Sequence[Summed]
    calls: OfferCalls


@dataclass(frozen=True, slots=True)
class _Counted:
    """Calls by ascending roster: ``before[n]`` of the first ``n``; ``known``: all of them."""

    rosters: Sequence[int]
    before: Sequence[int]
    known: bool

    @classmethod
    def of(cls, calls: RosterCalls) -> "_Counted":
        rosters = sorted(calls.by_roster)
        counts = (calls.by_roster[each] for each in rosters)
        return cls(rosters, list(accumulate(counts, initial=0)), calls.known)


@dataclass(frozen=True, slots=True)
class _Offers:
    """``sizes[n]`` offers of a group from ``revisions[n - 1]`` on, before ``revisions[n]``."""

    group: OfferGroup
    buyer: str
    revisions: Sequence[int]
    sizes: Sequence[int]

    def calls(self, calls: _Counted) -> int | None:
        """Each call times the offers at its roster; only steps between rosters are looked at."""
        if not calls.known:
            return None
        if not calls.rosters:
            return 0
        first = bisect_right(self.revisions, calls.rosters[0])
        last = bisect_right(self.revisions, calls.rosters[-1])
        inner = [bisect_left(calls.rosters, each) for each in self.revisions[first:last]]
        edges = [0, *inner, len(calls.rosters)]
        counts = (calls.before[end] - calls.before[begin] for begin, end in pairwise(edges))
        sizes = self.sizes[first : last + 1]
        return sum(count * size for count, size in zip(counts, sizes, strict=True))


def _offers(changes: Iterable[RosterChange]) -> Iterator[_Offers]:
    for group, some in groupby(sorted(changes, key=_order), key=lambda each: each.group):
        steps = list(some)
        sizes = accumulate((each.change for each in steps), initial=0)
        revisions = [each.revision for each in steps]
        yield _Offers(group, steps[-1].buyer, revisions, list(sizes))


def _order(change: RosterChange) -> tuple[str, str, str, int]:
    group = change.group
    return group.campaign, group.name, group.figure_class.value, change.revision


def _sum(counts: Iterable[int | None]) -> int | None:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total
