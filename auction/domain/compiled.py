"""Offers compiled for eligibility: prepared tests in place of terms that are read for every call.

``fixed_refusal`` says in one piece what the tests of an offer say together; a property test holds
the two to each other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from operator import ge, gt, le, lt
from typing import Final

from auction.domain.call_view import CallView, Memo, OpeningHours, Required
from auction.domain.duplicates import is_duplicate
from auction.domain.eligibility import (
    CLOSED,
    DUPLICATE,
    HOLIDAY,
    SOURCE_BLOCKED,
    Refusal,
    cap_refusal,
    concurrency_refusal,
    hold_units,
    lowest_price,
)
from auction.domain.filters import Filter, Op
from auction.domain.hours import Hours
from auction.domain.ids import OfferId, OwnerId, SourceId
from auction.domain.opening import PastCall
from auction.domain.reasons import Reason
from auction.domain.terms import OfferTerms, Segment
from auction.domain.usage import NOTHING, Starts, Units, Usage, is_full, reached_cap
from auction.domain.validation import Requirement

Check = Callable[[CallView], Refusal | None]
"""One test of a call; None: passed."""

_UNUSED: Final = Usage()


@dataclass(slots=True, eq=False)
class _LastLook:
    """What the limits of an offer said the last time, and of what they said it."""

    offer_usage: Usage | None = None
    buyer_usage: Usage | None = None
    offer_starts: Starts | None = None
    buyer_starts: Starts | None = None
    refused: Refusal | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CompiledOffer:
    """One offer ready to be asked about thousands of calls.

    ``owners`` are those whose limits can refuse a call; ``units`` are held at its lowest price.
    """

    id: OfferId
    terms: OfferTerms
    opening: OpeningHours | None
    checks: tuple[Check, ...]
    owners: tuple[OwnerId, ...]
    units: Units
    _last: _LastLook = field(default_factory=_LastLook, repr=False)

    def fixed_refusal(self, view: CallView) -> Refusal | None:
        """As ``eligibility.fixed_refusal`` of an offer that is switched on and for sale."""
        for check in self.checks:
            refused = check(view)
            if refused is not None:
                return refused
        return None

    def current_refusal(
        self, view: CallView, past_calls: Sequence[PastCall], usage: Mapping[OwnerId, Usage]
    ) -> Refusal | None:
        """Why the call can't go there now: sold before, a cap, concurrency. None: it can.

        ``usage`` may be a moment old: the ledger decides. Test calls use no cap and no concurrency.
        """
        if past_calls and self._is_duplicate(view, past_calls):
            return DUPLICATE
        if not self.owners or view.call.test:
            return None
        of_offer, of_buyer = self.terms.limits
        return self._limits_say(
            usage.get(of_offer.owner, _UNUSED),
            usage.get(of_buyer.owner, _UNUSED),
            view.starts[of_offer.zone],
            view.starts[of_buyer.zone],
        )

    def _is_duplicate(self, view: CallView, past_calls: Sequence[PastCall]) -> bool:
        terms, rule = self.terms, self.terms.duplicates
        return rule is not None and is_duplicate(
            rule, terms.id, terms.buyer, terms.campaign, past_calls, view.call.received_at
        )

    def _limits_say(
        self, offer_usage: Usage, buyer_usage: Usage, offer_starts: Starts, buyer_starts: Starts
    ) -> Refusal | None:
        """Between most calls nothing of all this has changed."""
        last = self._last
        if not (
            last.offer_usage is offer_usage
            and last.buyer_usage is buyer_usage
            and last.offer_starts is offer_starts
            and last.buyer_starts is buyer_starts
        ):
            last.refused = self._limit_reached(
                (offer_usage, buyer_usage), (offer_starts, buyer_starts)
            )
            last.offer_usage, last.buyer_usage = offer_usage, buyer_usage
            last.offer_starts, last.buyer_starts = offer_starts, buyer_starts
        return last.refused

    def _limit_reached(
        self, usage: tuple[Usage, Usage], starts: tuple[Starts, Starts]
    ) -> Refusal | None:
        """A cap of either owner comes before the concurrency of both."""
        full: Refusal | None = None
        for place, limits in enumerate(self.terms.limits):
            if limits.caps:
                cap = reached_cap(usage[place], limits, starts[place], self.units)
                if cap is not None:
                    return cap_refusal(place, cap)
            if full is None and is_full(usage[place], limits):
                full = concurrency_refusal(place)
        return full


class Compiler:
    """Compiles offers; those with equal terms share what is made of them.

    ``openings`` are those of offers compiled before, which the same hours are to share.
    """

    def __init__(self, openings: Iterable[OpeningHours] = ()) -> None:
        self._openings: Memo[Hours, OpeningHours] = Memo(OpeningHours)
        self._openings.update((each.hours, each) for each in openings)
        self._hours: Memo[OpeningHours, Check] = Memo(_hours_check)
        self._sources: Memo[frozenset[SourceId], Check] = Memo(_source_check)
        self._fields: Memo[str, Check] = Memo(_field_check)
        self._filters: Memo[Filter, Check] = Memo(_filter_check)
        self._segments: Memo[Segment, Check] = Memo(partial(_segment_check, self._filters))
        self._requirements: Memo[Requirement, Check] = Memo(_requirement_check)
        self._all_checks: dict[tuple[Check, ...], tuple[Check, ...]] = {}
        self._units: dict[Units, Units] = {}

    def compile(self, offer: OfferTerms) -> CompiledOffer:
        """One offer, which must be switched on and for sale."""
        opening = None if offer.hours is None else self._openings[offer.hours]
        owners = tuple(limits.owner for limits in offer.limits if limits.limited)
        units = hold_units(offer, lowest_price(offer)) if owners else NOTHING
        checks = self._checks(offer, opening)
        return CompiledOffer(
            id=offer.id,
            terms=offer,
            opening=opening,
            checks=self._all_checks.setdefault(checks, checks),
            owners=owners,
            units=self._units.setdefault(units, units),
        )

    def _checks(self, offer: OfferTerms, opening: OpeningHours | None) -> tuple[Check, ...]:
        checks = [self._sources[offer.blocked_sources]] if offer.blocked_sources else []
        if opening is not None:
            checks.append(self._hours[opening])
        checks += (self._fields[field] for field in offer.required_fields)
        checks += (self._filters[condition] for condition in offer.filters)
        checks += (self._segments[segment] for segment in offer.outside)
        checks += (self._requirements[each] for each in offer.requirements)
        return tuple(checks)


def _source_check(blocked: frozenset[SourceId]) -> Check:
    return lambda view: SOURCE_BLOCKED if view.call.source in blocked else None


def _hours_check(opening: OpeningHours) -> Check:
    refusals = {None: None, Reason.CLOSED: CLOSED, Reason.HOLIDAY: HOLIDAY}
    return lambda view: refusals[view.closed[opening]]


def _field_check(field: str) -> Check:
    refused = Refusal(Reason.MISSING_FIELD, field)
    return lambda view: refused if view.values[field] is None else None


def _segment_check(filters: Memo[Filter, Check], segment: Segment) -> Check:
    conditions = tuple(filters[condition] for condition in segment.when)
    refused = Refusal(Reason.OUTSIDE_SEGMENT, segment.name)

    def check(view: CallView) -> Refusal | None:
        for condition in conditions:
            if condition(view) is not None:
                return None
        return refused

    return check


def _requirement_check(requirement: Requirement) -> Check:
    required, field = Required(requirement), requirement.field
    refusals = {None: None} | {reason: Refusal(reason, field) for reason in _UNMET}
    return lambda view: refusals[view.faults[required]]


_UNMET: Final = (Reason.INVALID_FIELD, Reason.CONSENT_MISSING, Reason.CONSENT_EXPIRED)


def _filter_check(condition: Filter) -> Check:
    return _FILTER_CHECKS[condition.op](condition, Refusal(Reason.FILTERED, condition.field))


def _one_of(condition: Filter, refused: Refusal) -> Check:
    field, texts = condition.field, condition.texts
    return lambda view: None if view.folded[field] in texts else refused


def _none_of(condition: Filter, refused: Refusal) -> Check:
    field, texts = condition.field, condition.texts

    def check(view: CallView) -> Refusal | None:
        folded = view.folded[field]
        return refused if folded is None or folded in texts else None

    return check


def _ordered(
    holds: Callable[[Decimal, Decimal], bool], condition: Filter, refused: Refusal
) -> Check:
    field, bound = condition.field, condition.low

    def check(view: CallView) -> Refusal | None:
        number = view.numbers[field]
        return None if number is not None and holds(number, bound) else refused

    return check


def _between(condition: Filter, refused: Refusal) -> Check:
    field, low, high = condition.field, condition.low, condition.high

    def check(view: CallView) -> Refusal | None:
        number = view.numbers[field]
        return None if number is not None and low <= number <= high else refused

    return check


def _begins(condition: Filter, refused: Refusal) -> Check:
    field, prefix = condition.field, condition.prefix

    def check(view: CallView) -> Refusal | None:
        text = view.texts[field]
        return None if text is not None and text.startswith(prefix) else refused

    return check


def _exists(condition: Filter, refused: Refusal) -> Check:
    field, wanted = condition.field, condition.exists
    return lambda view: None if (view.values[field] is not None) is wanted else refused


_FILTER_CHECKS: Final[dict[Op, Callable[[Filter, Refusal], Check]]] = {
    Op.EQ: _one_of,
    Op.NE: _none_of,
    Op.IN: _one_of,
    Op.NOT_IN: _none_of,
    Op.LT: partial(_ordered, lt),
    Op.LTE: partial(_ordered, le),
    Op.GT: partial(_ordered, gt),
    Op.GTE: partial(_ordered, ge),
    Op.BETWEEN: _between,
    Op.PREFIX: _begins,
    Op.EXISTS: _exists,
}
