"""The decision as it is stored before the switch is answered."""

from enum import Enum

from auction.domain.call import Call
from auction.domain.ids import CampaignId
from auction.domain.plan import Candidate
from auction.domain.reserving import Superseded
from auction.domain.terms import Destination
from auction.domain.value import value


class Action(Enum):
    """What the switch is told to do."""

    ROUTE = "route"
    NO_ROUTE = "no_route"


@value(frozen=True, slots=True)
class Finish:
    """The decision to store. ``candidate`` None: no route, and whatever is held is given back.

    ``lease_ms``: how long the slot is held without any event; ``answered_lease_ms``: from the
    answer on; ``collected_lease_ms``: from the retry that fetches a late decision. ``late``: the
    switch has stopped waiting. ``binding`` False: a retry decides anew (unknown campaign).
    """

    call: Call
    epoch: int
    attempt: int
    action: Action
    answer: bytes
    trace: bytes
    candidate: Candidate | None = None
    destination: Destination | None = None
    reason: str | None = None
    lease_ms: int = 0
    late: bool = False
    binding: bool = True
    answered_lease_ms: int = 14_400_000
    collected_lease_ms: int = 85_000
    currency: str | None = None
    campaign: CampaignId | None = None


@value(frozen=True, slots=True)
class Finished:
    """The decision is durable."""


FinishResult = Finished | Superseded
