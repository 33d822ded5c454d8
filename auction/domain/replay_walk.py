"""Down a recorded call's plan once more: what is known of each place stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from auction.domain.ids import OfferId
from auction.domain.plan import RoutedBy
from auction.domain.reasons import Reason
from auction.domain.replay_record import REFUSED_BEFORE, Recorded
from auction.domain.static_order import static_order
from auction.domain.terms import Campaign
from auction.domain.trace import TraceEntry

ASSUMED: Final = "never reached in the record: assumed to accept"

_POST_REFUSALS: Final = frozenset({Reason.POST_REJECTED, Reason.POST_UNKNOWN, Reason.POST_ERROR})
_LATE: Final = frozenset({Reason.EXPIRED, Reason.BUDGET_TOO_SMALL})
"""Depends on how long the way was up to here."""

_FATES: Final = _POST_REFUSALS | _LATE | {Reason.CAP_LOST}


@dataclass(frozen=True, slots=True)
class Place:
    """One place the call may go."""

    offer: OfferId
    routed_by: RoutedBy
    price: Decimal

    @property
    def key(self) -> tuple[OfferId, RoutedBy]:
        """What tells it from the others of a plan."""
        return self.offer, self.routed_by


@dataclass(slots=True)
class Walked:
    """Where the call went, and which offers refused it on the way."""

    taken: Place | None = None
    refused: dict[OfferId, TraceEntry] = field(default_factory=dict)
    notes: dict[OfferId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Fate:
    """What became of a place. ``entry`` None: it took the call; ``posted``: who was asked first."""

    entry: TraceEntry | None
    posted: frozenset[OfferId]


def statics(
    recorded: Recorded, campaign: Campaign, entries: Mapping[OfferId, TraceEntry]
) -> list[Place]:
    """The static part of a plan: offers whose entry so far lets them be routed without a bid."""
    offers = [
        each
        for each in campaign.offers
        if each.destination and each.id in entries and entries[each.id].reason not in _NEVER_STATIC
    ]
    return [
        Place(each.id, RoutedBy.STATIC, each.static_amount)
        for each in static_order(offers, recorded.call.call_id)
        if each.static_amount is not None
    ]


def walk(plan: Sequence[Place], recorded: Recorded, before: Campaign, *, as_long: bool) -> Walked:
    """Go down the plan; a place that the record never reached is assumed to accept.

    ``before``: the terms in force; ``as_long``: the way begins when it did.
    """
    fates = _fates(recorded, before)
    walked = Walked()
    posted: set[OfferId] = set()
    for place in plan:
        fate = fates.get(place.key)
        stands = fate is not None and _stands(fate, posted, as_long=as_long)
        entry = fate.entry if fate is not None and stands else None
        if walked.taken is not None:
            _note_late(place, entry, walked)
        elif place.offer in posted:
            continue
        elif entry is None:
            walked.taken = place
            if not stands:
                walked.notes[place.offer] = ASSUMED
        else:
            _refuse(place, entry, walked, posted)
    return walked


def _refuse(place: Place, entry: TraceEntry, walked: Walked, posted: set[OfferId]) -> None:
    if place.routed_by is RoutedBy.AUCTION:
        walked.refused[place.offer] = entry
    if entry.reason in _POST_REFUSALS:
        posted.add(place.offer)


def _note_late(place: Place, entry: TraceEntry | None, walked: Walked) -> None:
    """A bid behind the winner that had run out before the winner was taken."""
    if entry is not None and entry.reason in _LATE and place.routed_by is RoutedBy.AUCTION:
        walked.refused[place.offer] = entry


def _stands(fate: _Fate, posted: set[OfferId], *, as_long: bool) -> bool:
    if fate.entry is None or fate.entry.reason not in _LATE:
        return True
    return as_long and fate.posted <= posted


def _fates(recorded: Recorded, before: Campaign) -> dict[tuple[OfferId, RoutedBy], _Fate]:
    winner = recorded.winner()
    won = None if winner is None else (winner.offer, _routed_by(winner))
    entries, fates = recorded.entries(), {}
    posted: set[OfferId] = set()
    on_the_way = True
    for place in _recorded_plan(recorded, before):
        entry = entries[place.offer]
        if place.key == won:
            fates[place.key] = _Fate(None, frozenset(posted))
            on_the_way = False
        elif on_the_way or (place.routed_by is RoutedBy.AUCTION and entry.reason in _FATES):
            fates[place.key] = _Fate(entry, frozenset(posted))
            if entry.reason in _POST_REFUSALS:
                posted.add(place.offer)
    return fates


def _recorded_plan(recorded: Recorded, before: Campaign) -> list[Place]:
    ranked = sorted(
        (each.rank, each.offer, each.bid) for each in recorded.trace.offers if each.rank
    )
    auction = [Place(offer, RoutedBy.AUCTION, bid or Decimal(0)) for _, offer, bid in ranked]
    return [*auction, *statics(recorded, before, recorded.entries())]


def _routed_by(winner: TraceEntry) -> RoutedBy:
    return RoutedBy.STATIC if winner.static else RoutedBy.AUCTION


_NEVER_STATIC: Final = REFUSED_BEFORE | _POST_REFUSALS | {Reason.NO_BID}
