"""Matching is one to one, as large and as near as it can be, and the totals lose nothing."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.ids import CallId
from auction.domain.nearest import Event, nearest_pairs
from auction.domain.reconcile import reconcile
from auction.domain.tie_out import Finding, ListedCall, SoldCall, Tolerance, totals
from tests.builders import NOON

WITHIN_S = 60
NUMBERS = [None, "+13105551234", "+13105559999"]
seconds = st.integers(0, 400)
amounts = st.sampled_from([Decimal(0), Decimal("12.5"), Decimal("52.0001")])
durations = st.none() | st.integers(0, 9).map(Decimal)


@st.composite
def sold_calls(draw: st.DrawFn) -> list[SoldCall]:
    return [
        SoldCall(
            CallId(f"c-{index}"),
            1,
            frozenset({f"c-{index}"}),
            draw(st.sampled_from(NUMBERS)),
            NOON + timedelta(seconds=draw(seconds)),
            draw(durations),
            draw(durations),
            draw(amounts),
        )
        for index in range(draw(st.integers(0, 8)))
    ]


@st.composite
def listed_calls(draw: st.DrawFn) -> list[ListedCall]:
    rows = []
    for index in range(draw(st.integers(0, 8))):
        number = draw(st.sampled_from(NUMBERS))
        rows.append(
            ListedCall(
                index + 2,
                draw(st.none() | st.sampled_from(["c-0", "c-1", "other"])),
                number,
                number and number[-10:],
                draw(st.none() | seconds.map(lambda at: NOON + timedelta(seconds=at))),
                draw(durations),
                draw(st.none() | amounts),
            )
        )
    return rows


@given(sold_calls(), listed_calls())
def test_every_call_stands_on_exactly_one_row_and_totals_add_up(
    ours: list[SoldCall], theirs: list[ListedCall]
) -> None:
    rows = reconcile(ours, theirs, Tolerance())
    assert Counter(row.ours.call_id for row in rows if row.ours) == Counter(
        call.call_id for call in ours
    )
    assert Counter(row.theirs.line for row in rows if row.theirs) == Counter(
        row.line for row in theirs
    )
    sums = totals(rows).values()
    assert sum(each.calls for each in sums) == len(rows)
    assert sum(each.ours for each in sums) == sum(call.amount for call in ours)
    assert sum(each.theirs for each in sums) == sum(row.amount or 0 for row in theirs)
    both = [row for row in rows if row.ours and row.theirs]
    assert len(rows) == len(ours) + len(theirs) - len(both)
    for row in rows:
        missing = {Finding.MISSING_AT_THEM, Finding.MISSING_AT_US} & set(row.findings)
        assert bool(missing) == (row.ours is None or row.theirs is None)


@given(sold_calls(), listed_calls())
def test_a_pair_names_the_same_call_or_has_caller_and_start_in_common(
    ours: list[SoldCall], theirs: list[ListedCall]
) -> None:
    known = {call.call_id for call in ours}
    for row in reconcile(ours, theirs, Tolerance()):
        if row.ours is None or row.theirs is None:
            continue
        if row.theirs.call_id in known:
            assert row.theirs.call_id == row.ours.call_id
        else:
            assert row.theirs.caller == row.ours.caller
            assert row.theirs.start is not None
            assert abs(row.theirs.start - row.ours.start) <= timedelta(seconds=WITHIN_S)


@given(sold_calls(), listed_calls())
def test_the_order_of_the_rows_in_the_file_does_not_change_what_is_found(
    ours: list[SoldCall], theirs: list[ListedCall]
) -> None:
    found = totals(reconcile(ours, theirs, Tolerance()))
    turned = totals(reconcile(ours[::-1], theirs[::-1], Tolerance()))
    matched = [Finding.MISSING_AT_THEM], [Finding.MISSING_AT_US]
    for group in map(tuple, matched):
        assert found[group].calls == turned[group].calls


events = st.lists(seconds, max_size=6).map(sorted)


def numbered(starts: list[int]) -> list[Event]:
    return [(start, position) for position, start in enumerate(starts)]


@given(events, events, st.integers(0, 100))
def test_pairs_are_as_many_and_as_near_as_any_matching_could_be(
    left: list[int], right: list[int], within: int
) -> None:
    pairs = list(nearest_pairs(numbered(left), numbered(right), within))
    apart = [abs(left[first] - right[second]) for first, second in pairs]
    assert all(each <= within for each in apart)
    assert len({first for first, _ in pairs}) == len({second for _, second in pairs}) == len(pairs)
    assert (len(pairs), -sum(apart)) == best_of_all(tuple(left), tuple(right), within)


@given(events, events, st.integers(0, 100))
def test_both_sides_are_alike(left: list[int], right: list[int], within: int) -> None:
    one = list(nearest_pairs(numbered(left), numbered(right), within))
    other = list(nearest_pairs(numbered(right), numbered(left), within))
    assert len(one) == len(other)


@cache
def best_of_all(left: tuple[int, ...], right: tuple[int, ...], within: int) -> tuple[int, int]:
    """The most pairs, and the smallest distance of so many, negative: all are tried."""
    if not left:
        return (0, 0)
    found = [best_of_all(left[1:], right, within)]
    for index, start in enumerate(right):
        apart = abs(left[0] - start)
        if apart <= within:
            count, near = best_of_all(left[1:], right[:index] + right[index + 1 :], within)
            found.append((count + 1, near - apart))
    return max(found)
