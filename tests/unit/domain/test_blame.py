"""What the end of a ping or a post says about its buyer."""

import pytest

from auction.domain.bidding import (
    PostAccepted,
    PostNotSent,
    PostRejected,
    PostReply,
    PostUnknown,
)
from auction.domain.blame import had_its_time, ping_weight, post_refused
from auction.domain.breaker import PingWeight
from auction.domain.reasons import Reason


@pytest.mark.parametrize(
    ("reason", "weight"),
    [
        (None, PingWeight.ANSWERED),
        (Reason.NO_BID, PingWeight.ANSWERED),
        (Reason.OUTBID, PingWeight.ANSWERED),
        (Reason.BELOW_MINIMUM, PingWeight.ANSWERED),
        (Reason.INVALID_BID, PingWeight.ANSWERED),
        (Reason.WRONG_CURRENCY, PingWeight.ANSWERED),
        (Reason.TIMEOUT, PingWeight.TIMED_OUT),
        (Reason.MALFORMED_REPLY, PingWeight.MALFORMED),
        (Reason.OVERSIZE_REPLY, PingWeight.MALFORMED),
        (Reason.BAD_STATUS, PingWeight.MALFORMED),
        (Reason.UNREACHABLE, PingWeight.MALFORMED),
        (Reason.ERROR, PingWeight.MALFORMED),
        (Reason.NOT_AWAITED, PingWeight.UNTOLD),
        (Reason.NOT_ASKED, PingWeight.UNTOLD),
        (Reason.OUTBOUND_LIMIT, PingWeight.UNTOLD),
    ],
)
def test_every_outcome_has_its_weight(reason: Reason | None, weight: PingWeight) -> None:
    assert ping_weight(reason, blames_buyer=True, had_time=True) is weight


@pytest.mark.parametrize("reason", [Reason.ERROR, Reason.TIMEOUT, Reason.UNREACHABLE])
def test_what_is_our_own_fault_weighs_nothing(reason: Reason) -> None:
    assert ping_weight(reason, blames_buyer=False, had_time=True) is PingWeight.UNTOLD


def test_a_little_less_than_its_own_timeout_is_time_enough() -> None:
    assert had_its_time(970, 1000)
    assert not had_its_time(740, 1000)


def test_a_timeout_that_the_calls_budget_cut_short_weighs_nothing() -> None:
    assert ping_weight(Reason.TIMEOUT, blames_buyer=True, had_time=False) is PingWeight.UNTOLD
    malformed = ping_weight(Reason.MALFORMED_REPLY, blames_buyer=True, had_time=False)
    assert malformed is PingWeight.MALFORMED


@pytest.mark.parametrize(
    ("reply", "had_time", "refused"),
    [
        (PostAccepted(), True, False),
        (PostAccepted(), False, False),
        (PostRejected("full"), True, True),
        (PostRejected("full"), False, True),
        (PostUnknown("reset"), True, True),
        (PostUnknown("no answer in time"), False, None),
        (PostUnknown("internal error", blames_buyer=False), True, None),
        (PostNotSent("HTTP 429"), True, True),
        (PostNotSent("no connection"), False, None),
        (PostNotSent("own limit", blames_buyer=False), True, None),
    ],
)
def test_a_post_is_refused_where_its_buyer_let_it_fall(
    reply: PostReply, *, had_time: bool, refused: bool | None
) -> None:
    assert post_refused(reply, had_time=had_time) is refused
