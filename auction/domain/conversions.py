"""When a routed call becomes payable, and for how much.

Connected time is compared as it was given, with its milliseconds, and never rounded: 89.6 s does
not reach 90 s. A rule's amount, or the price, is booked as it stands; nothing is computed here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TypeAlias, TypeVar

from auction.domain.ids import CallId, CampaignId, OfferId, SourceId
from auction.domain.terms import ConversionRule, OfferTerms, PayoutRule, Trigger

Rule = TypeVar("Rule", ConversionRule, PayoutRule)

Repeated: TypeAlias = Callable[[int], bool]
"""Whether another call of the caller has a conversion that stands within so many days."""


class Side(Enum):
    """Whose money: the buyer pays revenue, the source is paid a payout."""

    BUYER = "buyer"
    SOURCE = "source"


class EntryKind(Enum):
    """What an entry does to a side's conversion."""

    BOOKED = "booked"
    AMENDED = "amended"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Booked:
    """What one side of a call comes to by now.

    ``amount`` is 0 when withdrawn; ``percent``: the payout is so much of the revenue. ``undone``
    are the attempts whose conversion was withdrawn, known while nothing stands.
    """

    side: Side
    attempt: int
    trigger: Trigger
    amount: Decimal
    withdrawn: bool = False
    percent: Decimal | None = None
    undone: frozenset[int] = frozenset()

    def open_to(self, attempt: int) -> bool:
        """Whether reports may convert this attempt: nothing stands, its own was never undone."""
        return self.withdrawn and attempt != self.attempt and attempt not in self.undone


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the money ledger, appended and never changed.

    ``amount`` is what the side comes to from now on, ``change`` what that adds to the totals.
    ``at`` is when it happened, ``actor`` who said so (``switch``, ``routing``, ``lease``,
    ``buyer:<id>``). ``beyond_hold``: the buyer reports more than the call held of the caps.
    """

    call_id: CallId
    side: Side
    attempt: int
    kind: EntryKind
    trigger: Trigger
    amount: Decimal
    change: Decimal
    at: datetime
    actor: str
    event_id: str | None = None
    note: str | None = None
    beyond_hold: bool = False
    percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a routed call so far.

    ``connected_s`` is the connected time in seconds (milliseconds kept), None until the call has
    ended. ``reported``: the buyer has reported a conversion that stands.
    """

    answered: bool = False
    ended: bool = False
    connected_s: Decimal | None = None
    reported: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """The rule's trigger that made the call payable, and the amount."""

    trigger: Trigger
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PastConversion:
    """An attempt of a caller's call that converted, and when.

    ``converted_at`` is of the buyer's side, ``paid_at`` of the source's; None: that side has no
    conversion that stands.
    """

    call_id: CallId
    offer: OfferId
    campaign: CampaignId
    source: SourceId | None
    converted_at: datetime | None = None
    paid_at: datetime | None = None


def never_repeated(_: int) -> bool:
    """A caller of whom nothing else is known."""
    return False


def repeated_for_buyer(
    past: Sequence[PastConversion], call_id: CallId, offer: OfferId, at: datetime
) -> Repeated:
    """Looks at the buyer's side of other calls to the same offer, up to so many days from ``at``.

    In either direction, as reports may come out of order; both ends are included.
    """
    moments = [
        each.converted_at for each in past if each.call_id != call_id and each.offer == offer
    ]
    return lambda days: _any_within(moments, at, days)


def repeated_for_source(
    past: Sequence[PastConversion],
    call_id: CallId,
    campaign: CampaignId,
    source: SourceId | None,
    at: datetime,
) -> Repeated:
    """As ``repeated_for_buyer``, of the source's side, campaign and source being the same."""
    moments = [
        each.paid_at
        for each in past
        if each.call_id != call_id and each.campaign == campaign and each.source == source
    ]
    return lambda days: _any_within(moments, at, days)


def _any_within(moments: Sequence[datetime | None], at: datetime, days: int) -> bool:
    distance = timedelta(days=days)
    return any(moment is not None and abs(at - moment) <= distance for moment in moments)


def payable_rules(offer: OfferTerms) -> tuple[ConversionRule, ...]:
    """The rules that can make a call to this offer payable: none for buyers that are not billed."""
    return offer.conversions if offer.billed else ()


def buyer_conversion(
    rules: Sequence[ConversionRule],
    price: Decimal,
    facts: CallFacts,
    repeated: Repeated = never_repeated,
) -> Conversion | None:
    """The conversion that the facts give; None when they give none, or none yet.

    ``rules`` are the offer's ``payable_rules``; see ``first_match``.
    """
    rule = first_match(rules, facts, repeated)
    if rule is None:
        return None
    return Conversion(rule.trigger, price if rule.amount is None else rule.amount)


def first_match(rules: Sequence[Rule], facts: CallFacts, repeated: Repeated) -> Rule | None:
    """The first rule that the facts match; None when there is none, or none yet.

    While a timer that stands before it may still match, a rule waits. An attempt converts at
    routing, wherever its rule stands. A postback rule matches once the buyer has reported. A rule
    whose ``dedupe_days`` find the caller is passed over as if it did not exist.
    """
    standing = [rule for rule in rules if not _is_repeated(rule, repeated)]
    for rule in standing:
        if rule.trigger is Trigger.ATTEMPT:
            return rule
    for rule in standing:
        if _matches(rule, facts):
            return rule
        if rule.trigger is Trigger.TIMER and not facts.ended:
            return None
    return None


def _is_repeated(rule: ConversionRule | PayoutRule, repeated: Repeated) -> bool:
    return rule.dedupe_days is not None and repeated(rule.dedupe_days)


def _matches(rule: ConversionRule | PayoutRule, facts: CallFacts) -> bool:
    if rule.trigger is Trigger.POSTBACK:
        return facts.reported
    if not facts.answered:
        return False
    if rule.trigger is Trigger.ANSWERED:
        return True
    return facts.connected_s is not None and facts.connected_s >= rule.connected_s
