"""Filters and deadlines of any shape."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.call import FieldValue
from auction.domain.deadline import early_close, plan_times
from auction.domain.filters import Op, matches, prepare
from auction.domain.terms import AuctionTerms
from tests.builders import a_call

VALUES: st.SearchStrategy[FieldValue] = st.one_of(
    st.text(), st.integers(), st.floats(allow_nan=False), st.booleans()
)


@given(st.sampled_from(list(Op)), st.one_of(VALUES, st.lists(VALUES, max_size=3)), VALUES)
def test_any_filter_is_refused_when_made_or_answers_yes_or_no(
    op: Op, wanted: object, value: FieldValue
) -> None:
    try:
        condition = prepare("x", op, wanted)
    except ValueError:
        return
    call = a_call(fields={"x": value})
    assert matches(condition, call) in {True, False}


@given(VALUES, VALUES)
def test_a_value_is_either_equal_or_not(wanted: FieldValue, value: FieldValue) -> None:
    call = a_call(fields={"x": value})
    try:
        equal, unequal = prepare("x", Op.EQ, wanted), prepare("x", Op.NE, wanted)
    except ValueError:
        return
    there = matches(prepare("x", Op.EXISTS, value=True), call)
    assert matches(equal, call) + matches(unequal, call) == there


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_orderings_agree_with_the_numbers(value: int, wanted: int) -> None:
    call = a_call(fields={"x": str(value)})
    assert matches(prepare("x", Op.LT, wanted), call) is (value < wanted)
    assert matches(prepare("x", Op.LTE, wanted), call) is (value <= wanted)
    assert matches(prepare("x", Op.GT, wanted), call) is (value > wanted)
    assert matches(prepare("x", Op.GTE, wanted), call) is (value >= wanted)
    low, high = min(0, wanted), max(0, wanted)
    assert matches(prepare("x", Op.BETWEEN, [low, high]), call) is (low <= value <= high)


MILLISECONDS = st.integers(0, 30_000)


@given(
    st.one_of(st.none(), MILLISECONDS),
    st.builds(
        AuctionTerms,
        budget_ms=MILLISECONDS,
        post_budget_ms=MILLISECONDS,
        reply_reserve_ms=st.integers(0, 500),
    ),
    st.lists(MILLISECONDS, max_size=4),
    st.lists(MILLISECONDS, max_size=4),
    MILLISECONDS,
)
def test_the_parts_of_a_decision_fit_into_what_the_switch_allows(
    timeout_ms: int | None, terms: AuctionTerms, pings: list[int], posts: list[int], elapsed: int
) -> None:
    times = plan_times(timeout_ms, terms, pings, posts, elapsed)
    assert min(times.decision_ms, times.post_reserve_ms, times.ping_ms) >= 0
    assert times.ping_ms + times.post_reserve_ms <= times.decision_ms <= terms.budget_ms
    assert times.post_reserve_ms <= times.decision_ms / 2
    if timeout_ms is not None:
        assert times.decision_ms <= timeout_ms


AMOUNTS = st.decimals(0, 100, places=2)


@given(AMOUNTS, st.lists(st.one_of(st.none(), AMOUNTS), min_size=1), AMOUNTS)
def test_closing_early_never_cuts_off_a_bid_that_could_win_or_tie(
    leader: Decimal, ceilings: list[Decimal | None], bid: Decimal
) -> None:
    if early_close(leader, None, ceilings):
        possible = [bid for ceiling in ceilings if ceiling is None or bid <= ceiling]
        assert all(amount < leader for amount in possible)
