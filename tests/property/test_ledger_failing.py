"""An attempt that fails gives back its slot, its call and what is pending: no less and no more."""

from datetime import UTC, datetime
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.ids import CallId
from auction.domain.terms import Measure, Period
from auction.domain.usage import Change, Units, Usage, apply, held_by, minus, plus
from storage.books import Books
from storage.holds import Hold, HoldState, sold
from tests.builders import CAMPAIGN, NOON
from tests.ledger_steps import BUYER_OWNER, OFFER_OWNER, a_candidate

NOW = datetime(2026, 11, 20, 17, 5, tzinfo=UTC)

amounts = st.integers(0, 520_000)
units: st.SearchStrategy[Units] = st.tuples(*[st.integers(0, 1)] * 3, amounts)
holdings = st.builds(Change, st.integers(0, 1), units, units)


def a_hold(holding: Change, state: HoldState) -> Hold:
    candidate = a_candidate()
    return Hold(
        call_id=CallId("call-1"),
        attempt=1,
        state=state,
        position=0,
        campaign=CAMPAIGN,
        offer=candidate.offer,
        buyer=candidate.buyer,
        routed_by=candidate.routed_by,
        price=candidate.price,
        post_id=candidate.post_id,
        caller_hash=None,
        terms=sold(candidate, NOON, ()),
        holding=holding,
        lease_until=NOW,
        sweep_at=NOW,
    )


@given(holding=holdings, state=st.sampled_from(HoldState), others=st.integers(0, 3))
def test_a_failed_attempt_gives_back_exactly_what_has_not_happened(
    holding: Change, state: HoldState, others: int
) -> None:
    hold = a_hold(holding, state)
    _, starts = hold.terms.owners[0]
    without = Usage()
    for _ in range(others):
        without = apply(without, starts, held_by((1, 1, 1, 520_000)))
    usage = apply(without, starts, holding)
    books = Books([hold], {OFFER_OWNER: usage, BUYER_OWNER: usage})
    books.put(hold.failed("busy", 486))
    for owner, period in product((OFFER_OWNER, BUYER_OWNER), Period):
        after, kept = books.usage[owner], without.periods[period].current
        window, brought = after.periods[period].current, (0, *holding.used[Measure.ANSWERED :])
        assert after.live == without.live
        assert window.pending == kept.pending
        assert minus(window.used, kept.used) == brought
        assert min(*window.used, *plus(window.pending, window.used), after.live) >= 0


@given(holding=holdings, state=st.sampled_from(HoldState))
def test_a_second_failure_gives_nothing_back(holding: Change, state: HoldState) -> None:
    failed = a_hold(holding, state).failed("busy", 486)
    assert failed.failed("busy", 486) == failed
