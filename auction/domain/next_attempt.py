"""A further attempt: the switch says that one failed, storage what is left of the call."""

from enum import Enum

from auction.domain.call import Call
from auction.domain.ids import CallId, CampaignId, OfferId, SuppressionId
from auction.domain.opening import AlreadyDecided, BeingDecided, OtherContent, PastCall
from auction.domain.plan import Candidate, StoredPlan
from auction.domain.reasons import Reason
from auction.domain.value import value


class FailReason(Enum):
    """Why an attempt failed, as the switch tells it."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    SHORT_CALL = "short_call"

    @property
    def reason(self) -> Reason:
        """The numbered reason."""
        return _FAIL_REASONS[self]


_FAIL_REASONS = {
    FailReason.BUSY: Reason.BUSY,
    FailReason.NO_ANSWER: Reason.NO_ANSWER,
    FailReason.FAILED: Reason.DIAL_FAILED,
    FailReason.SHORT_CALL: Reason.SHORT_CALL,
}


@value(frozen=True, slots=True)
class NextRequest:
    """Attempt ``attempt`` failed: where now? ``decide_within_ms`` bounds the decider's claim."""

    call_id: CallId
    attempt: int
    reason: FailReason
    fingerprint: bytes
    decide_within_ms: int
    sip_code: int | None = None


@value(frozen=True, slots=True)
class Rerouting:
    """What the failed attempt held is given back, and its call is ours to decide again.

    ``attempt`` is the new one, ``call`` as it first came in; ``tried`` the offers that failed and
    why, ``candidates`` the plan that the last attempt was reserved from, ``traces`` those of the
    attempts before in their order. ``plan``: stored for this attempt by a decider that died.
    """

    epoch: int
    attempt: int
    call: Call
    campaign: CampaignId | None
    tried: tuple[tuple[OfferId, Reason], ...]
    candidates: tuple[Candidate, ...]
    traces: tuple[bytes, ...] = ()
    past_calls: tuple[PastCall, ...] = ()
    plan: StoredPlan | None = None
    suppressed: tuple[SuppressionId, ...] = ()


@value(frozen=True, slots=True)
class AlreadyConverted:
    """The failed attempt has earned its conversion: no further one. ``attempt`` is the next."""

    attempt: int
    call: Call
    campaign: CampaignId | None


@value(frozen=True, slots=True)
class UnknownCall:
    """There is no such call."""


@value(frozen=True, slots=True)
class NoSuchAttempt:
    """The call has no route with that number, or none yet."""


NextResult = (
    Rerouting
    | AlreadyConverted
    | AlreadyDecided
    | BeingDecided
    | OtherContent
    | UnknownCall
    | NoSuchAttempt
)
