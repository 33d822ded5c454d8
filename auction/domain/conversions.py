"""When a routed call becomes payable, and for how much."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from auction.domain.ids import CallId
from auction.domain.terms import BuyerType, ConversionRule, OfferTerms, Trigger


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

    ``amount`` is 0 when withdrawn; ``percent``: the payout is so much of the revenue.
    """

    side: Side
    attempt: int
    trigger: Trigger
    amount: Decimal
    withdrawn: bool = False
    percent: Decimal | None = None


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


def payable_rules(offer: OfferTerms) -> tuple[ConversionRule, ...]:
    """The rules that can make a call to this offer payable: none for buyers that are not billed."""
    return offer.conversions if offer.buyer_type is BuyerType.BUYER else ()


def buyer_conversion(
    rules: Sequence[ConversionRule], price: Decimal, facts: CallFacts
) -> Conversion | None:
    """The conversion that the facts give; None when they give none, or none yet.

    ``rules`` are the offer's ``payable_rules``. The first that matches wins; while one that stands
    before it may still match, a later one waits. An attempt converts at routing. Postback rules
    match no fact: the buyer reports them.
    """
    for rule in rules:
        if rule.trigger is Trigger.ATTEMPT:
            return _conversion(rule, price)
    return _by_events(rules, price, facts)


def _by_events(
    rules: Sequence[ConversionRule], price: Decimal, facts: CallFacts
) -> Conversion | None:
    for rule in rules:
        if _matches(rule, facts):
            return _conversion(rule, price)
        if rule.trigger is Trigger.TIMER and not facts.ended:
            return None
    return None


def _matches(rule: ConversionRule, facts: CallFacts) -> bool:
    if rule.trigger is Trigger.POSTBACK or not facts.answered:
        return False
    if rule.trigger is Trigger.ANSWERED:
        return True
    return facts.connected_s is not None and facts.connected_s >= rule.connected_s


def _conversion(rule: ConversionRule, price: Decimal) -> Conversion:
    return Conversion(rule.trigger, price if rule.amount is None else rule.amount)
