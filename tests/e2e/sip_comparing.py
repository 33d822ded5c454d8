"""What must come of calls, worked out from what was planned and from sipp's own clock."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from tests.e2e.sip_plans import FULL, MINIMUM_S, PRICES, REASONS, Centre, Plan
from tests.e2e.sip_steps import Cdr
from tests.e2e.sipp import Sipp

NEAR_MS = 300
"""So near to the minimum duration no call may come: its worth would hang on the machine's load."""

Outcome = tuple[object, ...]


def seen(cdr: Cdr) -> Outcome:
    """What a CDR says of its call, without times."""
    attempts = [(each["offer"], each["outcome"], each["reason"]) for each in cdr["attempts"]]
    told = ("state", "ended_by", "reason", "offer", "converted")
    return (*(cdr[name] for name in told), Decimal(cdr["revenue"]), tuple(attempts))


def wanted(plan: Plan) -> Outcome:
    """What a call of this plan must come to."""
    failed = tuple(
        (offer, "failed", REASONS[centre]) for offer, centre in plan.met if centre in REASONS
    )
    if plan.scenario.startswith("refused"):
        reason = {"33": "no_eligible_offer", "34": "unknown_campaign"}.get(plan.code)
        return ("no_route", "system", reason or "no_bid_and_no_static", None, False, 0, failed)
    offer, centre = plan.met[-1]
    earns = plan.talked_ms >= MINIMUM_S * 1000
    ended_by = "target" if plan.scenario == "hung-up-on" else "caller"
    # Where it still rang when the caller hung up, the attempt ended with the call.
    before = () if centre in REASONS else failed
    attempts = (*before, (offer, "ended", None))
    return ("ended", ended_by, None, offer, earns, PRICES[offer] if earns else 0, attempts)


def wanted_of(plan: Plan, count: int, cap: int) -> Counter[Outcome]:
    """What so many calls of this plan must come to: the best buyer takes no more than its cap."""
    if plan.name != FULL:
        return Counter({wanted(plan): count})
    second = replace(plan, met=(("beta-capped", Centre.ANSWERS),))
    return Counter({wanted(plan): min(cap, count), wanted(second): max(0, count - cap)})


def talked_ms(callers: Iterable[Sipp]) -> dict[str, int]:
    """How long each caller talked, by sipp's clock."""
    began: dict[str, int] = {}
    talked: dict[str, int] = {}
    for moment in (each for sipp in callers for each in sipp.moments()):
        if moment.what == "answered":
            began[moment.caller] = moment.at_ms
        else:
            talked[moment.caller] = moment.at_ms - began[moment.caller]
    return talked


def earned(talked: Mapping[str, int], answered_at: Mapping[str, str]) -> Decimal:
    """The revenue of these talks; ``answered_at``: the offer whose call centre each talked to."""
    minimum_ms = MINIMUM_S * 1000
    near = {caller: ms for caller, ms in talked.items() if abs(ms - minimum_ms) < NEAR_MS}
    assert not near, f"too near to the minimum duration to judge: {near}"
    long_enough = [caller for caller, ms in talked.items() if ms >= minimum_ms]
    return sum((PRICES[answered_at[caller]] for caller in long_enough), Decimal())


def last_called(centres: Mapping[str, Sipp], offers: Sequence[str]) -> dict[str, str]:
    """Where each caller arrived last; ``offers`` in the order in which they are tried."""
    return {caller: offer for offer in offers for caller in centres[offer].called()}


def peak(cdrs: Iterable[Cdr]) -> int:
    """The most calls at once."""
    changes: list[tuple[datetime, int]] = []
    for cdr in cdrs:
        changes.append((datetime.fromisoformat(cdr["started_at"]), 1))
        changes.append((datetime.fromisoformat(cdr["ended_at"]), -1))
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def furthest_apart_ms(found: Mapping[str, Cdr], talked: Mapping[str, int]) -> int:
    """How far the CDRs' connected times are from sipp's, at most."""
    told_ms = {
        caller: int(Decimal(str(found[caller]["connected_duration_s"])) * 1000) for caller in talked
    }
    return max(abs(told_ms[caller] - ms) for caller, ms in talked.items())
