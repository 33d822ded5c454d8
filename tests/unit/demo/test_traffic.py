"""The demo's calls."""

import itertools

import pytest

from auction.demo.traffic import demo_calls


def test_the_same_seed_gives_the_same_calls_and_another_seed_others() -> None:
    assert list(demo_calls(50, 7, 40)) == list(demo_calls(50, 7, 40))
    assert list(demo_calls(50, 7, 40)) != list(demo_calls(50, 8, 40))


def test_calls_come_at_the_rate_asked_for() -> None:
    calls = list(demo_calls(400, 7, 40))
    starts = [call.starts_at_s for call in calls]
    assert starts == sorted(starts)
    assert starts[-1] == pytest.approx(10, rel=0.2)


def test_calls_are_all_different_and_callers_come_again() -> None:
    calls = list(demo_calls(300, 7, 40))
    assert len({call.call_id for call in calls}) == 300
    assert len({call.fields["session"] for call in calls}) == 300
    assert 200 < len({call.caller_id for call in calls}) < 295


def test_there_are_calls_of_every_kind() -> None:
    calls = list(demo_calls(300, 7, 40))
    legs = [leg for call in calls for leg in call.legs]
    assert {leg.answered for leg in legs} == {True, False}
    assert {leg.fails for leg in legs} == {None, "busy", "no_answer", "failed", "short_call"}
    assert all(leg.answered for leg in legs if leg.fails == "short_call")
    assert any(leg.fails is None and not leg.answered for leg in legs)
    assert {call.ended_by for call in calls} == {"caller", "target"}
    assert any("zip_code" not in call.fields for call in calls)
    assert any(not call.caller_id.startswith("+") for call in calls)
    assert any(call.caller_id.startswith("+44") for call in calls)


def test_no_line_is_held_for_long() -> None:
    calls = itertools.islice(demo_calls(1000, 7, 40), 1000)
    assert all(leg.holds_s < 4 for call in calls for leg in call.legs)


def test_attempts_beyond_the_legs_go_like_the_last() -> None:
    call = next(demo_calls(1, 7, 40))
    assert call.leg(1) is call.legs[0]
    assert call.leg(99) is call.legs[-1]
