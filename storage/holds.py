"""A reservation: what one attempt of a call holds of the caps, and what it was sold under."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import orjson

from auction.domain.ids import BuyerId, CallId, CampaignId, OfferId, OwnerId, PostId, SourceId
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.reasons import Reason
from auction.domain.terms import ConversionRule, PayoutRule
from auction.domain.usage import NOTHING, Change, Starts, Units
from auction.domain.value import value
from auction.domain.windows import window_starts
from storage.plans import load_payout, load_rule, payout_row, rule_row

NOTHING_HELD: Final = Change()


class HoldState(Enum):
    """Where an attempt stands: a hold until the decision is stored, then a route."""

    HELD = "held"
    RELEASED = "released"
    ROUTED = "routed"
    ANSWERED = "answered"
    ENDED = "ended"
    LOST = "lost"
    FAILED = "failed"


_UNDER_WAY: Final = frozenset({HoldState.ROUTED, HoldState.ANSWERED})


@value(frozen=True, slots=True)
class HoldTerms:
    """What an attempt was sold under; settling depends on nothing else.

    ``owners`` with the starts of the windows in which the call counts, ``refused`` the places of
    the plan that were passed over for it. By ``rules`` the buyer pays, by ``payouts`` the source is
    paid.
    """

    owners: tuple[tuple[OwnerId, Starts], ...]
    units: Units
    rules: tuple[ConversionRule, ...]
    refused: tuple[tuple[int, Reason], ...] = ()
    payouts: tuple[PayoutRule, ...] = ()

    def dump(self) -> str:
        """As JSON."""
        return orjson.dumps(
            {
                "owners": self.owners,
                "units": self.units,
                "rules": [rule_row(rule) for rule in self.rules],
                "refused": self.refused,
                "payouts": [payout_row(rule) for rule in self.payouts],
            }
        ).decode()

    @classmethod
    def load(cls, stored: str) -> "HoldTerms":
        """What ``dump`` was given."""
        terms: dict[str, Any] = orjson.loads(stored)
        return cls(
            tuple((owner, tuple(starts)) for owner, starts in terms["owners"]),
            tuple(terms["units"]),
            tuple(load_rule(row) for row in terms["rules"]),
            tuple((position, Reason(reason)) for position, reason in terms["refused"]),
            tuple(load_payout(row) for row in terms.get("payouts", ())),
        )


@value(frozen=True, slots=True)
class Hold:
    """One row of reservations. ``holding`` is its share of the counters of each of its owners.

    ``sweep_at`` is set while it holds anything or its call is under way, and never after
    ``lease_until``. ``dedupes``: a rule it was sold under looks at the caller's other calls.
    ``converted_at`` and ``paid_at`` are when the buyer's and the source's conversion happened, None
    while there is none; ``reason`` and ``sip_code`` say why the attempt failed.
    """

    call_id: CallId
    attempt: int
    state: HoldState
    position: int
    campaign: CampaignId
    offer: OfferId
    buyer: BuyerId
    routed_by: RoutedBy
    price: Decimal
    post_id: PostId | None
    caller_hash: bytes | None
    terms: HoldTerms
    holding: Change
    lease_until: datetime
    sweep_at: datetime | None
    answered_lease_ms: int | None = None
    answered_at: datetime | None = None
    converted_at: datetime | None = None
    ended_at: datetime | None = None
    source: SourceId | None = None
    bid_id: str | None = None
    dedupes: bool = False
    reason: str | None = None
    sip_code: int | None = None
    connected_duration_s: Decimal | None = None
    paid_at: datetime | None = None

    def is_of(self, candidate: Candidate) -> bool:
        """Whether this place of a plan is the one that is held."""
        return (
            self.offer == candidate.offer
            and self.routed_by is candidate.routed_by
            and self.post_id == candidate.post_id
            and self.price == candidate.price
        )

    def sweep_from(self, holding: Change, lease_until: datetime) -> datetime | None:
        """When to look at it once it holds this under this lease; never when nothing can lapse.

        A call that is under way can be lost, even if its attempt holds nothing any more.
        """
        holds = holding.live != 0 or holding.pending != NOTHING
        if self.sweep_at is None or not (holds or self.state in _UNDER_WAY):
            return None
        return min(self.sweep_at, lease_until)

    def given_back(self) -> "Hold":
        """As if it had never held anything."""
        return replace(self, state=HoldState.RELEASED, holding=NOTHING_HELD, sweep_at=None)

    def failed(self, reason: str, sip_code: int | None) -> "Hold":
        """After the switch could not bring the call there: only what has happened stays used."""
        _, answered, conversions, revenue = self.holding.used
        return replace(
            self,
            state=HoldState.FAILED,
            holding=Change(used=(0, answered, conversions, revenue)),
            sweep_at=None,
            reason=reason,
            sip_code=sip_code,
        )


def sold(candidate: Candidate, at: datetime, refused: tuple[tuple[int, Reason], ...]) -> HoldTerms:
    """What a candidate is sold under to a call that arrived then."""
    owners = tuple((each.owner, window_starts(at, each.zone)) for each in candidate.owners)
    return HoldTerms(owners, candidate.units, candidate.conversions, refused, candidate.payouts)


def dedupes_of(candidate: Candidate) -> bool:
    """Whether a rule that it is sold under looks at the caller's earlier conversions."""
    return any(rule.dedupe_days is not None for rule in candidate.conversions) or any(
        rule.dedupe_days is not None for rule in candidate.payouts
    )
