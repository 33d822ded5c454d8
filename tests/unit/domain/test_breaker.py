"""When a buyer that keeps failing is left alone, and how it comes back."""

import pytest

from auction.domain.breaker import TRICKLE_S, Breaker, BreakerState, PingWeight
from tests.guard_steps import breaker_terms

ANSWERED, TIMED_OUT = PingWeight.ANSWERED, PingWeight.TIMED_OUT
MALFORMED, UNTOLD = PingWeight.MALFORMED, PingWeight.UNTOLD
CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


def ping(breaker: Breaker, *weights: PingWeight, now: float = 0.0) -> None:
    """Pings one after the other, each of which has to pass."""
    for weight in weights:
        asked = breaker.ask(now)
        assert asked.why is None
        breaker.pinged(asked.epoch, weight, now)


def opened(**changes: int) -> Breaker:
    """A breaker that every ping's timeout has opened at 0."""
    breaker = Breaker(breaker_terms(minimum_pings=4, minimum_posts=4, **changes))
    ping(breaker, *[TIMED_OUT] * 4)
    assert breaker.state is OPEN
    return breaker


def opened_by_posts(**changes: int) -> Breaker:
    breaker = Breaker(breaker_terms(minimum_pings=4, minimum_posts=4, **changes))
    for _ in range(4):
        ping(breaker, ANSWERED)
        breaker.posted(refused=True, now=0)
    assert breaker.state is OPEN
    return breaker


def test_it_opens_with_the_ping_that_reaches_both_the_minimum_and_the_ratio() -> None:
    breaker = Breaker(breaker_terms(minimum_pings=20))
    ping(breaker, *[TIMED_OUT] * 10, *[ANSWERED] * 9)
    assert breaker.state is CLOSED
    ping(breaker, ANSWERED)
    assert breaker.state is OPEN
    assert breaker.ask(0).why == "open: 10 of 20 pings timed out"


def test_below_the_ratio_it_stays_closed() -> None:
    breaker = Breaker(breaker_terms(minimum_pings=20))
    ping(breaker, *[TIMED_OUT, *[ANSWERED] * 2] * 100)
    assert breaker.state is CLOSED


@pytest.mark.parametrize(
    ("ratios", "weights", "cause"),
    [
        ({}, [MALFORMED] * 2, "2 of 4 pings had no readable answer"),
        ({}, [MALFORMED, TIMED_OUT], "2 of 4 pings failed, 1 timed out"),
        ({"timeout_ratio": 2_500}, [TIMED_OUT], "1 of 4 pings timed out"),
        ({"malformed_ratio": 2_500}, [MALFORMED], "1 of 4 pings had no readable answer"),
    ],
)
def test_each_way_to_fail_has_its_own_count_and_ratio(
    ratios: dict[str, int], weights: list[PingWeight], cause: str
) -> None:
    breaker = Breaker(breaker_terms(minimum_pings=4, **ratios))
    ping(breaker, *[ANSWERED] * (4 - len(weights)), *weights)
    assert breaker.ask(0).why == f"open: {cause}"


@pytest.mark.parametrize("ratio", ["timeout_ratio", "malformed_ratio"])
def test_a_ratio_of_one_way_does_not_concern_the_other(ratio: str) -> None:
    breaker = Breaker(breaker_terms(minimum_pings=4, **{ratio: 2_500}))
    other = MALFORMED if ratio == "timeout_ratio" else TIMED_OUT
    ping(breaker, *[ANSWERED] * 3, other)
    assert breaker.state is CLOSED


def test_refused_posts_open_it_though_every_ping_was_answered() -> None:
    breaker = opened_by_posts()
    assert breaker.ask(0).why == "open: 4 of 4 posts were refused"


def test_posts_that_were_taken_speak_against_opening() -> None:
    breaker = Breaker(breaker_terms(minimum_posts=4))
    for refused in [False, False, True] * 3:
        breaker.posted(refused=refused, now=0)
        assert breaker.state is CLOSED
    for _ in range(3):
        breaker.posted(refused=True, now=0)
    assert breaker.state is OPEN


def test_what_nobody_waited_for_counts_for_nothing() -> None:
    breaker = Breaker(breaker_terms(minimum_pings=4))
    ping(breaker, *[UNTOLD] * 100, *[TIMED_OUT] * 3)
    assert breaker.state is CLOSED
    ping(breaker, TIMED_OUT)
    assert breaker.state is OPEN


def test_failures_are_forgotten_with_the_window() -> None:
    breaker = Breaker(breaker_terms(minimum_pings=4, window_s=60))
    ping(breaker, *[TIMED_OUT] * 3, now=0)
    ping(breaker, TIMED_OUT, now=60)
    assert breaker.state is CLOSED
    ping(breaker, *[TIMED_OUT] * 3, now=61)
    assert breaker.state is OPEN


def test_open_one_ping_in_twenty_passes_all_the_same() -> None:
    breaker = opened(trickle=500)
    passed = [breaker.ask(1.0).why is None for _ in range(100)]
    assert [place for place, each in enumerate(passed) if each] == [19, 39, 59, 79, 99]


def test_open_a_lonely_ping_passes_when_none_has_for_a_while() -> None:
    breaker = opened(open_s=86_400)
    asked = [breaker.ask(second).why is None for second in range(1, 31)]
    assert [second for second, passed in enumerate(asked, 1) if passed] == [
        TRICKLE_S,
        2 * TRICKLE_S,
        3 * TRICKLE_S,
    ]


def test_what_the_trickle_brings_changes_nothing_while_it_is_open() -> None:
    breaker = opened(trickle=10_000)
    ping(breaker, *[ANSWERED] * 50, *[TIMED_OUT] * 50, now=29.9)
    breaker.posted(refused=False, now=29.9)
    assert breaker.state is OPEN


def test_half_open_only_so_many_probes_are_out_at_once() -> None:
    breaker = opened(open_s=30, probes=3)
    probes = [breaker.ask(30.0) for _ in range(5)]
    assert [each.why is None for each in probes] == [True] * 3 + [False] * 2
    assert probes[3].why == "half open, 3 probes are out: 4 of 4 pings timed out"
    breaker.pinged(probes[0].epoch, UNTOLD, 30.0)
    assert breaker.ask(30.0).why is None
    assert breaker.ask(30.0).why is not None


def test_probes_that_never_end_do_not_lock_it() -> None:
    breaker = opened(open_s=30, probes=2)
    assert [breaker.ask(30.0).why is None for _ in range(22)].count(True) == 3
    assert breaker.ask(30.0 + TRICKLE_S).why is None


def test_probes_that_are_answered_close_it() -> None:
    breaker = opened(open_s=30, probes=5)
    ping(breaker, *[ANSWERED] * 2, TIMED_OUT, now=30)
    assert breaker.state is HALF_OPEN
    ping(breaker, ANSWERED, now=30)
    assert breaker.state is CLOSED
    ping(breaker, *[TIMED_OUT] * 3, now=31)
    assert breaker.state is CLOSED


@pytest.mark.parametrize(
    ("ratios", "weights"),
    [
        ({}, [TIMED_OUT] * 3),
        ({}, [MALFORMED] * 3),
        ({}, [TIMED_OUT, MALFORMED, TIMED_OUT]),
        ({"timeout_ratio": 2_000}, [TIMED_OUT]),
        ({"malformed_ratio": 2_000}, [MALFORMED]),
    ],
)
def test_probes_that_fail_open_it_again(ratios: dict[str, int], weights: list[PingWeight]) -> None:
    breaker = opened(open_s=30, probes=5, **ratios)
    ping(breaker, ANSWERED, *weights, now=30)
    assert breaker.state is OPEN
    total = len(weights) + 1
    assert breaker.ask(31).why == f"open: {len(weights)} of {total} probes failed"
    assert breaker.ask(60).why is None
    assert breaker.state is HALF_OPEN


def test_opened_by_posts_it_is_posts_that_close_it() -> None:
    breaker = opened_by_posts(open_s=30, probes=5)
    ping(breaker, *[ANSWERED] * 50, now=30)
    assert breaker.state is HALF_OPEN
    for _ in range(3):
        breaker.posted(refused=False, now=31)
    assert breaker.state is CLOSED


def test_opened_by_posts_further_refusals_open_it_again() -> None:
    breaker = opened_by_posts(open_s=30, probes=2)
    ping(breaker, ANSWERED, now=30)
    breaker.posted(refused=True, now=31)
    assert breaker.state is OPEN


def test_opened_by_posts_a_buyer_that_hangs_now_opens_it_again() -> None:
    breaker = opened_by_posts(open_s=30, probes=5)
    ping(breaker, *[TIMED_OUT, MALFORMED, ANSWERED] * 50, now=30)
    assert breaker.state is HALF_OPEN, "a failure now and then is no sign of it"
    ping(breaker, *[TIMED_OUT] * 3, now=30)
    assert breaker.state is OPEN


def test_opened_by_pings_a_post_that_is_taken_does_not_close_it() -> None:
    breaker = opened(open_s=30, probes=2)
    ping(breaker, UNTOLD, now=30)
    breaker.posted(refused=False, now=30)
    breaker.posted(refused=False, now=30)
    assert breaker.state is HALF_OPEN


def test_what_was_sent_before_a_change_of_state_tells_nothing_after_it() -> None:
    breaker = opened(open_s=30, probes=1)
    late = breaker.ask(30.0)
    assert breaker.state is HALF_OPEN
    breaker.pinged(late.epoch, TIMED_OUT, 30.0)
    assert breaker.state is OPEN
    probe = breaker.ask(60.0)
    breaker.pinged(late.epoch, TIMED_OUT, 61.0)
    assert breaker.state is HALF_OPEN
    breaker.pinged(probe.epoch, ANSWERED, 61.0)
    assert breaker.state is CLOSED
