"""Callers who were sold before."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from auction.domain.ids import BuyerId, CampaignId, OfferId
from auction.domain.opening import PastCall
from auction.domain.terms import DuplicateAfter, DuplicateRule, DuplicateScope


def is_duplicate(
    rule: DuplicateRule,
    offer: OfferId,
    buyer: BuyerId,
    campaign: CampaignId,
    past_calls: Sequence[PastCall],
    now: datetime,
) -> bool:
    """Whether an earlier call of the caller reached the rule's step, in its scope and days."""
    since = now - timedelta(days=rule.within_days)
    return any(
        _in_scope(rule.scope, past, offer, buyer, campaign) and _reached(rule.after, past, since)
        for past in past_calls
    )


def _in_scope(
    scope: DuplicateScope, past: PastCall, offer: OfferId, buyer: BuyerId, campaign: CampaignId
) -> bool:
    if scope is DuplicateScope.OFFER:
        return past.offer == offer
    if scope is DuplicateScope.BUYER:
        return past.buyer == buyer
    return past.campaign == campaign


def _reached(after: DuplicateAfter, past: PastCall, since: datetime) -> bool:
    if after is DuplicateAfter.ROUTED:
        return past.routed_at >= since
    at = past.answered_at if after is DuplicateAfter.ANSWERED else past.converted_at
    return at is not None and at >= since
