"""What is written when a call comes in, and what storage then knows of it."""

from collections.abc import Mapping
from datetime import datetime

from auction.domain.call import Call, FieldValue
from auction.domain.ids import BuyerId, CampaignId, OfferId, SourceId, SuppressionId
from auction.domain.numbers import PoolTerms
from auction.domain.plan import StoredPlan
from auction.domain.value import value


@value(frozen=True, slots=True)
class PastCall:
    """An earlier route of the same caller: where it went and how far it came."""

    offer: OfferId
    buyer: BuyerId
    campaign: CampaignId
    routed_at: datetime
    answered_at: datetime | None = None
    converted_at: datetime | None = None


@value(frozen=True, slots=True)
class Opening:
    """What ``open`` writes. ``decide_within_ms`` bounds this decider's claim on the call.

    ``call`` has what its dialled number says of it already, unless that belongs to a ``pool``:
    whom it is lent to shows only in the ledger.
    """

    call: Call
    fingerprint: bytes
    decide_within_ms: int
    revision: int
    campaign: CampaignId | None
    pool: PoolTerms | None = None


@value(frozen=True, slots=True)
class KnownAs:
    """What is recorded of a call besides what its switch said, or in place of it."""

    source: SourceId | None
    fields: Mapping[str, FieldValue]


@value(frozen=True, slots=True)
class Opened:
    """The call is ours to decide. ``plan`` is set when an earlier decider died after storing one.

    ``suppressed``: the lists that the caller is on.
    ``received_at``: when the call first came in, where that was not with this request; its cap
    windows are the ones of that moment. ``known_as``: source and fields that are recorded of it,
    where they are others than those it was opened with.
    """

    epoch: int
    past_calls: tuple[PastCall, ...] = ()
    plan: StoredPlan | None = None
    received_at: datetime | None = None
    known_as: KnownAs | None = None
    suppressed: tuple[SuppressionId, ...] = ()


@value(frozen=True, slots=True)
class AlreadyDecided:
    """The stored answer, byte for byte."""

    answer: bytes


@value(frozen=True, slots=True)
class BeingDecided:
    """Another decider has it until ``wait_ms`` from now at the latest."""

    wait_ms: int


@value(frozen=True, slots=True)
class OtherContent:
    """The same call_id came before with other content."""


OpenResult = Opened | AlreadyDecided | BeingDecided | OtherContent
