"""Taking the first candidate of a plan that fits, and what came of it."""

from auction.domain.call import Call
from auction.domain.ids import CampaignId
from auction.domain.plan import Candidate
from auction.domain.reasons import Reason
from auction.domain.value import value


@value(frozen=True, slots=True)
class ReserveRequest:
    """Take the first candidate from ``start`` on that fits, giving back what this attempt holds.

    ``candidates`` is the whole plan, stored with the reservation; ``trace`` is the trace so far.
    ``lease_ms``: when the hold lapses if this decider dies.
    """

    call: Call
    campaign: CampaignId
    epoch: int
    attempt: int
    candidates: tuple[Candidate, ...]
    start: int
    trace: bytes
    lease_ms: int


@value(frozen=True, slots=True)
class Reserved:
    """``position`` holds the reservation; candidates passed over are in ``refused``."""

    position: int
    refused: tuple[tuple[int, Reason], ...] = ()


@value(frozen=True, slots=True)
class NothingFits:
    """No candidate from ``start`` on fits; nothing is held any more."""

    refused: tuple[tuple[int, Reason], ...] = ()


@value(frozen=True, slots=True)
class Superseded:
    """Another decider took the call over; ``answer`` when it has decided already."""

    answer: bytes | None


ReserveResult = Reserved | NothingFits | Superseded
