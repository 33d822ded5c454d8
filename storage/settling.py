"""What becomes of a hold: pure.

After its reservation a hold only shrinks: what is pending becomes used or is given back, and what
was given back is never taken again. So nothing that is reported, however late, can exceed a cap.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from auction.domain.conversions import Conversion, buyer_conversion
from auction.domain.lifecycle import CallState, Progress
from auction.domain.money import to_units
from auction.domain.terms import Measure, Trigger
from auction.domain.usage import NOTHING, Change, Units
from storage.holds import Hold, HoldState

STRAGGLER_S: Final = 10
"""How long an end that tells nothing of an answer waits for a report of one that is on its way."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The hold after a report or the end of its lease, and the conversion that it brought."""

    hold: Hold
    conversion: Conversion | None


def settle(hold: Hold, progress: Progress, *, billed: bool, at: datetime, now: datetime) -> Settled:
    """Apply what is known of the call by a report.

    ``billed`` False: it earns nothing (any more). ``at`` is when the reported thing happened,
    ``now`` the database's clock, by which leases run.
    """
    conversion = _conversion(hold, progress, billed=billed)
    holding = _after_conversion(hold.holding, conversion)
    if progress.answered_at is not None:
        holding = _after_answer(holding)
    if progress.ended_at is not None:
        pending = _still_pending(hold, holding.pending, progress)
        holding = Change(0, holding.used, pending)
    state = _STATES[progress.state]
    lease = _new_lease(hold, state, holding)
    lease_until = hold.lease_until if lease is None else now + lease
    settled = replace(
        hold,
        state=state,
        holding=holding,
        lease_until=lease_until,
        sweep_at=hold.sweep_from(holding, lease_until),
        answered_at=progress.answered_at,
        ended_at=progress.ended_at,
        converted_at=at if conversion is not None else hold.converted_at,
    )
    return Settled(settled, conversion)


def lapse(hold: Hold, progress: Progress, *, billed: bool, now: datetime) -> Settled:
    """The lease is over: nothing is live or pending, a call that nobody answered not used."""
    if hold.state is HoldState.HELD:
        return Settled(hold.given_back(), None)
    conversion = _conversion(hold, progress, billed=billed)
    used = _after_conversion(hold.holding, conversion).used
    if hold.state is HoldState.ROUTED:
        used = (0, *used[1:])
    lapsed = replace(
        hold,
        holding=Change(0, used, NOTHING),
        sweep_at=None,
        state=HoldState.ENDED if hold.state is HoldState.ENDED else HoldState.LOST,
        converted_at=now if conversion is not None else hold.converted_at,
    )
    return Settled(lapsed, conversion)


_STATES: Final = {
    CallState.ROUTED: HoldState.ROUTED,
    CallState.ANSWERED: HoldState.ANSWERED,
    CallState.ENDED: HoldState.ENDED,
    CallState.LOST: HoldState.LOST,
}


def _conversion(hold: Hold, progress: Progress, *, billed: bool) -> Conversion | None:
    if not billed or hold.terms.units[Measure.CONVERSIONS] == 0:
        return None
    return buyer_conversion(hold.terms.rules, hold.price, progress.facts)


def _after_conversion(holding: Change, conversion: Conversion | None) -> Change:
    """The conversion and its amount are used, as far as they were held; the rest is given back."""
    if conversion is None:
        return holding
    calls, answered, conversions, revenue = holding.used
    _, awaited, held_conversions, held_revenue = holding.pending
    earned = min(to_units(conversion.amount), held_revenue)
    used = (calls, answered, conversions + held_conversions, revenue + earned)
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
