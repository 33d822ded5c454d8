"""When the source of a call earns, and what becomes of that when the buyer's side changes.

A payout is a fixed amount, or a percentage of the revenue: revenue x percent / 100, of which four
decimals are kept and the rest is cut, never rounded up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from typing import Final

from auction.domain.conversions import (
    Booked,
    CallFacts,
    EntryKind,
    Repeated,
    Side,
    first_match,
    never_repeated,
)
from auction.domain.ids import SourceId
from auction.domain.terms import PayoutRule, Trigger

_SMALLEST: Final = Decimal("0.0001")
_CONTEXT: Final = Context(prec=34)
_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class PayoutChange:
    """What the source's side becomes: ``amount`` is what it comes to from now on."""

    kind: EntryKind
    trigger: Trigger
    amount: Decimal
    percent: Decimal | None = None


def payable_payouts(rules: Sequence[PayoutRule], source: SourceId | None) -> tuple[PayoutRule, ...]:
    """The rules under which this source earns, in their order; a call without a source has none."""
    if source is None:
        return ()
    return tuple(rule for rule in rules if rule.source in (None, source))


def share(revenue: Decimal, percent: Decimal) -> Decimal:
    """So many percent of the revenue, with four decimals; further ones are cut."""
    product = _CONTEXT.multiply(revenue, percent.scaleb(-2, _CONTEXT))
    return product.quantize(_SMALLEST, rounding=ROUND_DOWN, context=_CONTEXT)


def payout_change(
    rules: Sequence[PayoutRule],
    facts: CallFacts,
    booked: Mapping[Side, Booked],
    repeated: Repeated = never_repeated,
    *,
    restores: bool = False,
) -> PayoutChange | None:
    """What becomes of the source's side; None: it stays as it is.

    ``rules`` are the ``payable_payouts``, ``booked`` what each side comes to, the buyer's as it is
    now. The first rule that matches is booked, one with a percentage once the buyer's side stands.
    What is booked follows the revenue, and is withdrawn with the buyer's side when it depends on
    it: by its percentage, or by the buyer's report that was its trigger. Once withdrawn it comes
    back only when something ``restores`` it, which a buyer's report does.
    """
    payout = booked.get(Side.SOURCE)
    revenue = _revenue(booked)
    if payout is not None and not payout.withdrawn:
        return _followed(payout, revenue, booked.get(Side.BUYER))
    if payout is not None and not restores:
        return None
    rule = first_match(rules, facts, repeated)
    amount = None if rule is None else _amount(rule, revenue)
    if rule is None or amount is None:
        return None
    kind = EntryKind.BOOKED if payout is None else EntryKind.AMENDED
    return PayoutChange(kind, rule.trigger, amount, rule.percent)


def _revenue(booked: Mapping[Side, Booked]) -> Decimal | None:
    """What the buyer pays; None when its side does not stand."""
    buyer = booked.get(Side.BUYER)
    return None if buyer is None or buyer.withdrawn else buyer.amount


def _amount(rule: PayoutRule, revenue: Decimal | None) -> Decimal | None:
    if rule.percent is None:
        return rule.amount
    return None if revenue is None else share(revenue, rule.percent)


def _followed(payout: Booked, revenue: Decimal | None, buyer: Booked | None) -> PayoutChange | None:
    """What a payout that stands becomes by what the buyer's side comes to."""
    if revenue is None:
        depends = payout.percent is not None or payout.trigger is Trigger.POSTBACK
        if buyer is None or not depends:
            return None
        return PayoutChange(EntryKind.WITHDRAWN, payout.trigger, _NOTHING, payout.percent)
    if payout.percent is None:
        return None
    amount = share(revenue, payout.percent)
    if amount == payout.amount:
        return None
    return PayoutChange(EntryKind.AMENDED, payout.trigger, amount, payout.percent)
