"""Plans, stored and read back."""

from datetime import UTC, datetime
from decimal import Decimal

import orjson

from auction.domain.ids import PingId, SourceId
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.terms import (
    Cap,
    ConversionRule,
    Destination,
    DuplicateAfter,
    DuplicateRule,
    DuplicateScope,
    Measure,
    PayoutRule,
    Period,
    Trigger,
)
from storage.plans import dump_candidates, load_candidates
from tests.ledger_steps import OFFER_OWNER, a_candidate, limits


def test_a_plan_comes_back_as_it_was() -> None:
    full = a_candidate(
        offer_limits=limits(
            OFFER_OWNER, Cap(Measure.REVENUE, Period.MONTH, 10_000_000), concurrency=3
        ),
        duplicates=DuplicateRule(30, DuplicateAfter.ANSWERED, DuplicateScope.BUYER),
        ping_id=PingId("ping-1"),
        bid_id="b 1",
        expires_at=datetime(2026, 11, 20, 17, 1, 2, 345_678, UTC),
        minimum_duration_s=90,
        conversions=(
            ConversionRule(Trigger.TIMER, 90, Decimal("12.3456"), 30),
            ConversionRule(Trigger.POSTBACK, postback_within_h=48),
        ),
        payouts=(
            PayoutRule(SourceId("pub-17"), Trigger.TIMER, 90, amount=Decimal("12.5000")),
            PayoutRule(None, Trigger.ATTEMPT, percent=Decimal("33.3333"), dedupe_days=30),
        ),
    )
    bare = a_candidate(
        "cobalt",
        routed_by=RoutedBy.STATIC,
        posts=False,
        destination=Destination("tel:+18885550142"),
        post_id=None,
        owners=(),
        conversions=(),
    )
    assert load_candidates(dump_candidates((full, bare))) == (full, bare)


def test_candidates_that_share_some_terms_keep_the_ones_that_differ() -> None:
    one = a_candidate()
    others = [
        _like(one, conversions=()),
        _like(one, owners=()),
        _like(one, duplicates=DuplicateRule(1, DuplicateAfter.ROUTED, DuplicateScope.OFFER)),
        _like(one, payouts=(PayoutRule(None, Trigger.ANSWERED, amount=Decimal("8.00")),)),
    ]
    plan = (one, *others, one)
    assert load_candidates(dump_candidates(plan)) == plan


def test_a_plan_stored_before_there_were_payouts_has_none() -> None:
    rows = orjson.loads(dump_candidates((a_candidate(),)))
    assert rows[0][-1].pop() == []
    assert load_candidates(orjson.dumps(rows)) == (a_candidate(),)


def _like(candidate: Candidate, **changes: object) -> Candidate:
    same: dict[str, object] = {
        "owners": candidate.owners,
        "conversions": candidate.conversions,
        "payouts": candidate.payouts,
        **changes,
    }
    return a_candidate(**same)  # type: ignore[arg-type]  # keyword arguments of mixed types
