"""What becomes of a hold, and of the money of its call: pure.

After its reservation a hold only shrinks: what is pending becomes used or is given back, and what
was given back is never taken again. So nothing that is reported, however late, can exceed a cap.

Each step returns the hold as it is after it and the entries to write (``storage.bookings``), at
most one per side; the hold has the entries' times already. For other steps that move the buyer's
side, as a buyer's own report does, the source's side follows with::

    source_entry(hold, facts, account, cause, *, restores=False) -> Entry | None

where ``account`` says what is booked, the buyer's new entry included (``Account.after(entry)``),
``facts`` are those of the hold's attempt (``attempt_progress(hold, call.progress).facts``) and
``restores`` is True for a buyer's report. ``marked(hold, entry)`` is the hold of ``entry.attempt``
with the time that an entry of either side sets or takes back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from auction.domain.conversions import (
    Booked,
    CallFacts,
    Entry,
    EntryKind,
    PastConversion,
    Side,
    buyer_conversion,
    repeated_for_buyer,
    repeated_for_source,
)
from auction.domain.lifecycle import CallState, Progress
from auction.domain.money import to_units
from auction.domain.payouts import payout_change
from auction.domain.terms import Measure, Trigger
from auction.domain.usage import NOTHING, Change, Units
from storage.holds import Hold, HoldState

STRAGGLER_S: Final = 1
"""How long an end that tells nothing of an answer waits for a report of one that is on its way."""


@dataclass(frozen=True, slots=True)
class Account:
    """The money of a call. ``billed`` False: a test call, which books nothing.

    ``booked`` is what its sides come to, ``past`` what attempts of its caller have earned.
    """

    billed: bool = True
    booked: Mapping[Side, Booked] = field(default_factory=dict)
    past: Sequence[PastConversion] = ()

    def after(self, entry: Entry) -> "Account":
        """The account with an entry booked."""
        before = self.booked.get(entry.side)
        undone = frozenset() if before is None else before.undone
        if entry.kind is EntryKind.WITHDRAWN:
            undone |= {entry.attempt}
        side = Booked(
            entry.side,
            entry.attempt,
            entry.trigger,
            entry.amount,
            entry.kind is EntryKind.WITHDRAWN,
            entry.percent,
            undone,
        )
        return replace(self, booked={**self.booked, entry.side: side})


@dataclass(frozen=True, slots=True)
class Cause:
    """Why entries are made: when it happened, who says so and by which report; see ``Entry``."""

    at: datetime
    actor: str
    event_id: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The hold after a step, and what it brought: the buyer's side before the source's."""

    hold: Hold
    entries: tuple[Entry, ...] = ()


def settle(
    hold: Hold, progress: Progress, account: Account, cause: Cause, *, now: datetime
) -> Settled:
    """Apply what is known of an attempt by a report, or by its routing.

    ``progress`` is the attempt's. ``now`` is the database's clock, by which leases run. An attempt
    that failed holds nothing any more, and what is reported of it only books.
    """
    entries = _entries(hold, progress.facts, account, cause)
    holding = _after_entries(hold.holding, entries)
    if progress.answered_at is not None:
        holding = _after_answer(holding)
    if progress.ended_at is not None:
        pending = _still_pending(hold, holding.pending, progress)
        holding = Change(0, holding.used, pending)
    state = hold.state if hold.state is HoldState.FAILED else _STATES[progress.state]
    lease = _new_lease(hold, state, holding)
    lease_until = hold.lease_until if lease is None else now + lease
    settled = replace(
        hold,
        state=state,
        holding=holding,
        lease_until=lease_until,
        sweep_at=replace(hold, state=state).sweep_from(holding, lease_until),
        answered_at=progress.answered_at,
        ended_at=progress.ended_at,
        connected_duration_s=progress.connected_duration_s,
    )
    return Settled(_marked_by_all(settled, entries), entries)


def lapse(
    hold: Hold, progress: Progress, account: Account, *, actor: str, now: datetime
) -> Settled:
    """The attempt is over without a word: nothing is live, a call that nobody answered not used.

    What the facts give without an end is booked. While a buyer may still report a conversion of an
    answered call it stays pending under a lease of its own, and the end of that frees it.
    """
    if hold.state is HoldState.HELD:
        return Settled(hold.given_back())
    entries: tuple[Entry, ...] = ()
    if hold.state in _UNDER_WAY and progress.state is not CallState.LATE:
        facts = replace(progress.facts, ended=True)
        entries = _entries(hold, facts, account, Cause(now, actor))
    holding = _after_entries(hold.holding, entries)
    used = (0, *holding.used[1:]) if hold.state is HoldState.ROUTED else holding.used
    pending = _awaiting_report(hold, holding.pending)
    lease_until = now + timedelta(hours=_postback_hours(hold))
    lapsed = replace(
        hold,
        holding=Change(0, used, pending),
        lease_until=hold.lease_until if pending == NOTHING else lease_until,
        sweep_at=None if pending == NOTHING else lease_until,
        state=HoldState.ENDED if hold.state is HoldState.ENDED else HoldState.LOST,
    )
    return Settled(_marked_by_all(lapsed, entries), entries)


def source_entry(
    hold: Hold, facts: CallFacts, account: Account, cause: Cause, *, restores: bool = False
) -> Entry | None:
    """What the source's side becomes once the buyer's is what ``account`` says; None: it stays.

    What was withdrawn comes back by another attempt, or when something ``restores`` it.
    """
    if not account.billed:
        return None
    buyer, payout = account.booked.get(Side.BUYER), account.booked.get(Side.SOURCE)
    stands = buyer is not None and not buyer.withdrawn
    told = restores or (buyer is not None and buyer.trigger is Trigger.POSTBACK)
    change = payout_change(
        hold.terms.payouts,
        replace(facts, reported=stands and told),
        account.booked,
        repeated_for_source(account.past, hold.call_id, hold.campaign, hold.source, cause.at),
        restores=restores or (payout is not None and payout.open_to(hold.attempt)),
    )
    if change is None:
        return None
    standing = None if payout is None or payout.withdrawn else payout
    return Entry(
        call_id=hold.call_id,
        side=Side.SOURCE,
        attempt=hold.attempt if standing is None else standing.attempt,
        kind=change.kind,
        trigger=change.trigger,
        amount=change.amount,
        change=change.amount - (_NO_MONEY if standing is None else standing.amount),
        at=cause.at,
        actor=cause.actor,
        event_id=cause.event_id,
        note=cause.note,
        percent=change.percent,
    )


def attempt_progress(hold: Hold, call: Progress) -> Progress:
    """How far an attempt has come: the current one as far as its call, others by their hold."""
    if hold.attempt == call.attempt:
        return call
    state = CallState.ROUTED if hold.answered_at is None else CallState.ANSWERED
    return Progress(
        state=state if hold.ended_at is None else CallState.ENDED,
        started_at=call.started_at,
        attempt=hold.attempt,
        answered_at=hold.answered_at,
        ended_at=hold.ended_at,
        connected_duration_s=hold.connected_duration_s,
    )


def marked(hold: Hold, entry: Entry) -> Hold:
    """The hold of an entry's attempt with the time at which that side of it converted."""
    before = hold.converted_at if entry.side is Side.BUYER else hold.paid_at
    at: datetime | None = entry.at
    if entry.kind is EntryKind.WITHDRAWN:
        at = None
    elif entry.kind is EntryKind.AMENDED and before is not None:
        at = before
    if entry.side is Side.BUYER:
        return replace(hold, converted_at=at)
    return replace(hold, paid_at=at)


_NO_MONEY: Final = Decimal(0)
_UNDER_WAY: Final = frozenset({HoldState.ROUTED, HoldState.ANSWERED})
_STATES: Final = {
    CallState.ROUTED: HoldState.ROUTED,
    CallState.ANSWERED: HoldState.ANSWERED,
    CallState.ENDED: HoldState.ENDED,
    CallState.LOST: HoldState.LOST,
}


def _entries(hold: Hold, facts: CallFacts, account: Account, cause: Cause) -> tuple[Entry, ...]:
    """What the facts bring: the source's side is decided on what the buyer's has become."""
    buyer = _buyer_entry(hold, facts, account, cause)
    account = account if buyer is None else account.after(buyer)
    source = source_entry(hold, facts, account, cause)
    return tuple(entry for entry in (buyer, source) if entry is not None)


def _buyer_entry(hold: Hold, facts: CallFacts, account: Account, cause: Cause) -> Entry | None:
    """The conversion that an attempt brings: one per call, and none where it was withdrawn."""
    sold = account.billed and hold.terms.units[Measure.CONVERSIONS] > 0
    before = account.booked.get(Side.BUYER)
    if not sold or not (before is None or before.open_to(hold.attempt)):
        return None
    repeated = repeated_for_buyer(account.past, hold.call_id, hold.offer, cause.at)
    conversion = buyer_conversion(hold.terms.rules, hold.price, facts, repeated)
    if conversion is None:
        return None
    return Entry(
        call_id=hold.call_id,
        side=Side.BUYER,
        attempt=hold.attempt,
        kind=EntryKind.BOOKED if before is None else EntryKind.AMENDED,
        trigger=conversion.trigger,
        amount=conversion.amount,
        change=conversion.amount,
        at=cause.at,
        actor=cause.actor,
        event_id=cause.event_id,
        note=cause.note,
    )


def _marked_by_all(hold: Hold, entries: Sequence[Entry]) -> Hold:
    for entry in entries:
        hold = marked(hold, entry)
    return hold


def _after_entries(holding: Change, entries: Sequence[Entry]) -> Change:
    """The conversion and its amount are used, as far as they were held; the rest is given back."""
    revenue = [entry.amount for entry in entries if entry.side is Side.BUYER]
    if not revenue:
        return holding
    calls, answered, conversions, earned = holding.used
    _, awaited, held_conversions, held_revenue = holding.pending
    earned += min(to_units(revenue[0]), held_revenue)
    used = (calls, answered, conversions + held_conversions, earned)
    return Change(holding.live, used, (0, awaited, 0, 0))


def _after_answer(holding: Change) -> Change:
    calls, answered, conversions, revenue = holding.used
    _, awaited, held_conversions, held_revenue = holding.pending
    used = (calls, answered + awaited, conversions, revenue)
    return Change(holding.live, used, (0, 0, held_conversions, held_revenue))


def _still_pending(hold: Hold, pending: Units, progress: Progress) -> Units:
    """What a call that has ended goes on holding."""
    if progress.answered_at is None and progress.connected_duration_s is None:
        return pending
    return _reportable(hold, pending)


def _awaiting_report(hold: Hold, pending: Units) -> Units:
    """What a call that is given up goes on holding: something only if it was answered."""
    return _reportable(hold, pending) if hold.state is HoldState.ANSWERED else NOTHING


def _reportable(hold: Hold, pending: Units) -> Units:
    """What a buyer may still report a conversion for."""
    if _postback_hours(hold):
        return (0, 0, pending[Measure.CONVERSIONS], pending[Measure.REVENUE])
    return NOTHING


def _postback_hours(hold: Hold) -> int:
    """How long after the end a buyer may report a conversion; 0: no rule waits for a report."""
    rules = hold.terms.rules
    return max((r.postback_within_h for r in rules if r.trigger is Trigger.POSTBACK), default=0)


def _new_lease(hold: Hold, state: HoldState, holding: Change) -> timedelta | None:
    """The lease that begins with this report; None when the one before goes on."""
    if hold.state is state and hold.holding == holding:
        return None
    if state is HoldState.ANSWERED and hold.answered_lease_ms is not None:
        return timedelta(milliseconds=hold.answered_lease_ms)
    if state is HoldState.ENDED:
        if holding.pending[Measure.ANSWERED]:
            return timedelta(seconds=STRAGGLER_S)
        return timedelta(hours=_postback_hours(hold))
    return None
