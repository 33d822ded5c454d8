"""Our calls against a buyer's file."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from auction.domain import nearest
from auction.domain.ids import CallId
from auction.domain.reconcile import reconcile
from auction.domain.tie_out import (
    BOTH_DIFFER,
    GROUPS,
    Finding,
    ListedCall,
    Row,
    SoldCall,
    Tolerance,
    totals,
)
from tests.builders import NOON

CALLER = "+13105551234"
MATCHED = (Finding.MATCHED,)


def sold(call_id: str = "c-1", at_s: float = 0, **changes: Any) -> SoldCall:
    """A call of 120 s, 128 s in all, sold for 52.00, so many seconds after noon."""
    values: dict[str, Any] = {
        "attempt": 1,
        "ids": frozenset({call_id}),
        "caller": CALLER,
        "start": NOON + timedelta(seconds=at_s),
        "total_s": Decimal(128),
        "connected_s": Decimal(120),
        "amount": Decimal("52.0000"),
        **changes,
    }
    return SoldCall(CallId(call_id), **values)


def listed(line: int = 2, at_s: float | None = 0, **changes: Any) -> ListedCall:
    """The same call as the buyer tells it."""
    values: dict[str, Any] = {
        "caller": CALLER,
        "digits": "3105551234",
        "start": None if at_s is None else NOON + timedelta(seconds=at_s),
        "duration_s": Decimal(120),
        "amount": Decimal(52),
        **changes,
    }
    return ListedCall(line, **values)


def compare(
    ours: Sequence[SoldCall], theirs: Sequence[ListedCall], **tolerance: Any
) -> tuple[Row, ...]:
    return reconcile(ours, theirs, Tolerance(**tolerance))


def pairs(rows: Sequence[Row]) -> list[tuple[str | None, int | None]]:
    """Our call and their line, row by row."""
    return [
        (row.ours.call_id if row.ours else None, row.theirs.line if row.theirs else None)
        for row in rows
    ]


def test_two_empty_sides_agree() -> None:
    assert compare([], []) == ()


def test_the_same_call_matches_by_number_and_start() -> None:
    (row,) = compare([sold()], [listed(at_s=59)])
    assert (row.findings, row.agrees, row.is_total) == (MATCHED, True, False)


@pytest.mark.parametrize("at_s", [60, -60])
def test_a_start_as_far_away_as_the_tolerance_still_matches(at_s: float) -> None:
    assert pairs(compare([sold()], [listed(at_s=at_s)])) == [("c-1", 2)]
    beyond = compare([sold()], [listed(at_s=at_s * 1.0001)])
    assert sorted(row.findings[0].value for row in beyond) == ["missing_at_them", "missing_at_us"]


def test_a_call_that_they_have_not_and_one_that_we_have_not() -> None:
    rows = compare([sold(), sold("c-2", 500)], [listed(at_s=500), listed(3, 900)])
    assert pairs(rows) == [(None, 3), ("c-1", None), ("c-2", 2)] or pairs(rows) == [
        ("c-1", None),
        ("c-2", 2),
        (None, 3),
    ]
    assert [row.findings for row in rows] == [
        (Finding.MISSING_AT_THEM,),
        MATCHED,
        (Finding.MISSING_AT_US,),
    ]


def test_as_many_match_as_can_and_then_the_nearest() -> None:
    # The nearest pair alone (30 and 25) would leave the others too far apart.
    rows = compare([sold("a", 0), sold("b", 30)], [listed(2, 25), listed(3, 80)])
    assert pairs(rows) == [("a", 2), ("b", 3)]
    rows = compare([sold("a", 0), sold("b", 30)], [listed(2, 29)])
    assert pairs(rows) == [("a", None), ("b", 2)]
    rows = compare([sold("a", 29)], [listed(2, 0), listed(3, 30)])
    assert pairs(rows) == [(None, 2), ("a", 3)]


def test_of_calls_that_are_equally_near_the_first_is_taken() -> None:
    ours = [sold("a", 10), sold("b", 10), sold("c", 10)]
    rows = compare(ours, [listed(3, 10), listed(2, 10)])
    assert sorted(pairs(rows)) == [("a", 3), ("b", 2), ("c", None)]


def test_another_caller_never_matches_by_start() -> None:
    theirs = listed(caller="+13105559999", digits="3105559999")
    assert len(compare([sold()], [theirs])) == 2


def test_numbers_written_oddly_match_by_their_last_ten_digits() -> None:
    (row,) = compare([sold()], [listed(caller=None)])
    assert row.agrees
    (row,) = compare([sold()], [listed(caller="+993105551234")])
    assert row.agrees


def test_withheld_callers_match_by_start_alone() -> None:
    (row,) = compare([sold(caller=None)], [listed(caller=None, digits=None)])
    assert row.agrees
    assert len(compare([sold(caller=None)], [listed()])) == 2
    assert len(compare([sold()], [listed(caller=None, digits=None)])) == 2


def test_a_known_call_id_matches_whatever_number_and_time_say() -> None:
    theirs = listed(at_s=5000, call_id="c-1", caller="+13105559999", digits="3105559999")
    (row,) = compare([sold()], [theirs])
    assert row.agrees
    (row,) = compare([sold()], [listed(at_s=None, call_id="c-1")])
    assert row.agrees


def test_a_bid_or_post_id_is_as_good_as_a_call_id() -> None:
    (row,) = compare([sold(ids=frozenset({"c-1", "bid-7"}))], [listed(at_s=9999, call_id="bid-7")])
    assert row.agrees


def test_an_unknown_id_leaves_number_and_start_to_decide() -> None:
    (row,) = compare([sold()], [listed(call_id="their-own-4711")])
    assert row.agrees


def test_of_two_attempts_that_earned_the_same_the_later_is_named_and_the_other_missed() -> None:
    ours = [sold("c-1", 0), sold("c-1", 40, attempt=2)]
    rows = compare(ours, [listed(2, 39, call_id="c-1")])
    assert [(row.ours and row.ours.attempt, row.theirs is None) for row in rows] == [
        (1, True),
        (2, False),
    ]
    rows = compare(ours, [listed(2, None, call_id="c-1"), listed(3, 40, call_id="c-1")])
    assert [row.theirs and row.theirs.line for row in rows] == [2, 3]


def attempts(rows: Sequence[Row]) -> dict[int, int | None]:
    """The buyer's line of each of our attempts that has a row."""
    return {row.ours.attempt: row.theirs.line if row.theirs else None for row in rows if row.ours}


NAMED = listed(2, 0, call_id="c-1")
"""A row of the call c-1, at the very start of its first attempt."""


def test_a_row_by_call_id_is_the_attempt_that_stands_not_the_nearest() -> None:
    failed = sold("c-1", 0, due=False, amount=Decimal(0), connected_s=None, total_s=None)
    rows = compare([failed, sold("c-1", 40, attempt=2)], [NAMED])
    assert attempts(rows) == {2: 2}
    assert rows[0].agrees


def test_a_row_by_call_id_is_the_attempt_that_converted_though_a_later_one_stands() -> None:
    converted = sold("c-1", 0, due=False)
    later = sold("c-1", 40, attempt=2, amount=Decimal(0))
    rows = compare([later, converted], [NAMED])
    assert attempts(rows) == {1: 2}, "the later attempt is not missed: its call was listed"
    assert rows[0].agrees


def test_a_row_by_call_id_is_the_latest_attempt_when_none_stands() -> None:
    nothing = {"due": False, "amount": Decimal(0)}
    ours = [sold("c-1", 40 * number, attempt=number, **nothing) for number in (3, 1, 2)]
    assert attempts(compare(ours, [NAMED])) == {3: 2}


def test_rows_that_name_a_call_as_often_as_it_was_sent_have_an_attempt_each() -> None:
    ours = [sold("c-1", 0, due=False, amount=Decimal(0)), sold("c-1", 40, attempt=2)]
    rows = compare(ours, [NAMED, listed(3, 39, call_id="c-1")])
    assert attempts(rows) == {1: 2, 2: 3}


def test_a_row_by_post_id_is_that_attempt_and_leaves_the_other_to_the_call_id() -> None:
    ours = [
        sold("c-1", 0, ids=frozenset({"c-1", "post-1"})),
        sold("c-1", 40, attempt=2, ids=frozenset({"c-1", "post-2"})),
    ]
    assert attempts(compare(ours, [NAMED, listed(3, 0, call_id="post-2")])) == {1: 2, 2: 3}
    assert attempts(compare(ours, [listed(3, 0, call_id="post-1")])) == {1: 3, 2: None}


def test_a_bid_id_that_a_buyer_repeats_is_the_nearest_call() -> None:
    same = {"ids": frozenset({"bid-7"})}
    ours = [sold("a", 0, **same), sold("b", 500, amount=Decimal(99), **same)]
    assert ("a", 2) in pairs(compare(ours, [listed(2, 10, call_id="bid-7")]))


def test_a_call_listed_twice_is_not_taken_for_another_call() -> None:
    ours = [sold("c-1", 0), sold("c-2", 30)]
    rows = compare(ours, [listed(2, 0, call_id="c-1"), listed(3, 30, call_id="c-1")])
    assert pairs(rows) == [("c-1", 2), ("c-2", None), (None, 3)] or pairs(rows) == [
        ("c-1", 2),
        (None, 3),
        ("c-2", None),
    ]
    rows = compare(
        [sold("c-1", 0)], [listed(2, None, call_id="c-1"), listed(3, None, call_id="c-1")]
    )
    assert len([row for row in rows if row.ours is not None]) == 1


def test_a_row_without_start_and_known_id_matches_nothing() -> None:
    assert len(compare([sold()], [listed(at_s=None)])) == 2


def test_a_file_without_callers_matches_by_id_only() -> None:
    ours = [sold("c-1", caller=None), sold("c-2", caller=None)]
    theirs = [
        listed(2, call_id="c-2", caller=None, digits=None),
        listed(3, caller=None, digits=None),
    ]
    rows = compare(ours, theirs, by_caller=False)
    assert sorted(row.findings[0].value for row in rows) == [
        "matched",
        "missing_at_them",
        "missing_at_us",
    ]


@pytest.mark.parametrize("duration", ["118", "122", "120.5"])
def test_durations_within_the_tolerance_agree(duration: str) -> None:
    (row,) = compare([sold()], [listed(duration_s=Decimal(duration))])
    assert row.agrees


def test_their_duration_is_compared_with_connected_time_and_said_to_be_our_total() -> None:
    (row,) = compare([sold()], [listed(duration_s=Decimal(127))])
    assert (row.findings, row.is_total) == ((Finding.DIFFERENT_DURATION,), True)
    (row,) = compare([sold()], [listed(duration_s=Decimal("122.001"))])
    assert (row.findings, row.is_total) == ((Finding.DIFFERENT_DURATION,), False)
    (row,) = compare([sold(total_s=None)], [listed(duration_s=Decimal(127))])
    assert not row.is_total


def test_a_call_that_was_never_reported_to_us_had_no_connected_time() -> None:
    ours = sold(connected_s=None, total_s=None, amount=Decimal(0))
    (row,) = compare([ours], [listed(duration_s=Decimal(0), amount=Decimal(0))])
    assert row.agrees
    (row,) = compare([ours], [listed()])
    assert row.findings == BOTH_DIFFER


def test_amounts_must_be_equal_to_the_last_decimal() -> None:
    (row,) = compare([sold()], [listed(amount=Decimal("52.0001"))])
    assert row.findings == (Finding.DIFFERENT_AMOUNT,)
    assert not row.agrees


def test_what_the_file_does_not_tell_is_not_compared() -> None:
    (row,) = compare([sold()], [listed(duration_s=None, amount=None)])
    assert row.agrees


def test_what_need_not_be_there_is_matched_but_not_missed() -> None:
    assert compare([sold(due=False)], [listed(at_s=500, due=False)]) == ()
    (row,) = compare([sold(due=False)], [listed(due=False)])
    assert row.agrees


def test_totals_tell_both_sides_of_each_group() -> None:
    rows = compare(
        [sold("a", 0), sold("b", 1000), sold("c", 2000), sold("d", 3000), sold("e", 4000)],
        [
            listed(2, 0),
            listed(3, 1000, duration_s=Decimal(60)),
            listed(4, 2000, amount=Decimal("50.50")),
            listed(5, 3000, duration_s=Decimal(60), amount=Decimal(0)),
            listed(6, 9000, amount=None),
            listed(7, 9900, amount=Decimal(7)),
        ],
    )
    sums = totals(rows)
    assert tuple(sums) == GROUPS
    assert [(each.calls, each.ours, each.theirs, each.difference) for each in sums.values()] == [
        (1, Decimal(52), Decimal(52), Decimal(0)),
        (1, Decimal(52), Decimal(52), Decimal(0)),
        (1, Decimal(52), Decimal("50.5"), Decimal("-1.5")),
        (1, Decimal(52), Decimal(0), Decimal(-52)),
        (1, Decimal(52), Decimal(0), Decimal(-52)),
        (2, Decimal(0), Decimal(7), Decimal(7)),
    ]


def test_a_crowd_at_one_number_is_matched_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_MOST_CELLS", 3)
    ours = [sold("a", 0), sold("b", 70), sold("c", 100), sold("d", 500)]
    theirs = [listed(2, 65), listed(3, 75), listed(4, 160), listed(5, 560)]
    rows = compare(ours, theirs)
    assert pairs([row for row in rows if row.agrees]) == [("b", 2), ("c", 3), ("d", 5)]
    theirs = [listed(2, -70), listed(3, -30), listed(4, 20)]
    assert pairs([row for row in compare(ours[:2], theirs) if row.agrees]) == [("a", 3), ("b", 4)]
