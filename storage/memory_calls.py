"""A call as the ledger in memory keeps it."""

from dataclasses import dataclass, field
from datetime import datetime

from auction.domain.finishing import Action, Finish
from auction.domain.ids import OfferId
from auction.domain.lifecycle import CallState
from auction.domain.next_attempt import AlreadyConverted, Rerouting
from auction.domain.opening import Opening, PastCall
from auction.domain.plan import Candidate, StoredPlan
from auction.domain.reasons import Reason


@dataclass(slots=True)
class Step:
    """A request after a failed attempt, and its answer once there is one."""

    fingerprint: bytes
    answer: bytes | None = None


@dataclass(slots=True)
class StoredCall:
    """One call. ``plan`` was stored for ``plan_attempt``, ``held`` is what the attempt holds."""

    opening: Opening
    epoch: int
    decide_by: datetime
    state: CallState = CallState.DECIDING
    attempt: int = 1
    answer: bytes | None = None
    binding: bool = True
    plan: StoredPlan | None = None
    plan_attempt: int = 1
    held: Candidate | None = None
    steps: dict[int, Step] = field(default_factory=dict)
    tried: list[tuple[OfferId, Reason]] = field(default_factory=list)
    later_traces: dict[int, bytes] = field(default_factory=dict)

    @property
    def undecided(self) -> bool:
        """Whether somebody is deciding it."""
        return self.state in {CallState.DECIDING, CallState.REROUTING}

    def answer_to(self, attempt: int) -> bytes | None:
        """The stored answer that gives, or refuses, this attempt."""
        return self.answer if attempt == 1 else self.steps[attempt - 1].answer


def decided_anew(stored: StoredCall) -> bool:
    """Whether a repeat of the call may be decided once more: never after a further attempt."""
    return not (stored.undecided or stored.binding or stored.attempt > 1)


def collect(stored: StoredCall, attempt: int) -> None:
    """The switch has come back for a late decision: now it is a route like any other."""
    if stored.attempt == attempt and stored.state is CallState.LATE:
        stored.state = CallState.ROUTED


def already_converted(stored: StoredCall) -> AlreadyConverted:
    """No further attempt."""
    return AlreadyConverted(stored.attempt + 1, stored.opening.call, stored.opening.campaign)


def rerouting(
    stored: StoredCall, first_trace: bytes, past_calls: tuple[PastCall, ...]
) -> Rerouting:
    """What the decider of the attempt may go by."""
    later = (stored.later_traces[attempt] for attempt in range(2, stored.attempt))
    return Rerouting(
        epoch=stored.epoch,
        attempt=stored.attempt,
        call=stored.opening.call,
        campaign=stored.opening.campaign,
        tried=tuple(stored.tried),
        candidates=() if stored.plan is None else stored.plan.candidates,
        traces=(first_trace, *later),
        past_calls=past_calls,
        plan=stored.plan if stored.plan_attempt == stored.attempt else None,
    )


def state_after(finish: Finish) -> CallState:
    """Where a decision leaves its call."""
    if finish.action is Action.NO_ROUTE:
        return CallState.NO_ROUTE
    return CallState.LATE if finish.late else CallState.ROUTED
