"""How the time that a switch allows is shared out, and when an auction may end early."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from auction.domain.terms import AuctionTerms

MINIMUM_USEFUL_MS: Final = 10
"""With less time than this left a buyer is not asked."""


@dataclass(frozen=True, slots=True)
class DecisionTimes:
    """Milliseconds that are left, never negative.

    ``decision_ms`` is for the whole decision; of it ``post_reserve_ms`` is kept back for posts and
    ``ping_ms`` is for pings, each at most its own timeout.
    """

    decision_ms: int
    post_reserve_ms: int
    ping_ms: int


def plan_times(
    timeout_ms: int | None,
    terms: AuctionTerms,
    ping_timeouts: Sequence[int],
    post_timeouts: Sequence[int],
    elapsed_ms: int = 0,
) -> DecisionTimes:
    """The times of one decision, counted from ``elapsed_ms`` after the call's arrival.

    ``timeout_ms`` is the switch's own limit; ``ping_timeouts`` and ``post_timeouts`` are those of
    the invited offers (0 for an offer that is not posted to). Pings never get longer than the
    longest of them waits.
    """
    allowed = terms.budget_ms if timeout_ms is None else min(timeout_ms, terms.budget_ms)
    decision = max(0, allowed - terms.reply_reserve_ms - elapsed_ms)
    post_reserve = min(terms.post_budget_ms, max(post_timeouts, default=0), decision // 2)
    ping = min(decision - post_reserve, max(ping_timeouts, default=0))
    return DecisionTimes(decision, post_reserve, ping)


def early_close(
    leader: Decimal | None,
    close_at_bid: Decimal | None,
    ceilings_out: Sequence[Decimal | None],
    highest_bid: Decimal | None = None,
) -> bool:
    """Whether waiting on can't change the winner, or need not.

    ``leader`` is the best valid bid's score so far, ``ceilings_out`` holds for each offer still out
    the highest that it can reach (None: not known). True when nobody is out, ``highest_bid`` (None:
    the leader, as scores are amounts) reached ``close_at_bid``, or all who are out stay strictly
    below the leader.
    """
    if not ceilings_out:
        return True
    if leader is None:
        return False
    highest_bid = leader if highest_bid is None else highest_bid
    if close_at_bid is not None and highest_bid >= close_at_bid:
        return True
    return all(ceiling is not None and ceiling < leader for ceiling in ceilings_out)
