"""How full caps are and will be."""

from datetime import UTC, datetime

from auction.domain.cap_outlook import cap_outlooks
from auction.domain.ids import OfferId, OwnerId, offer_owner
from auction.domain.terms import Cap, Measure, Period
from auction.domain.usage import NOTHING, Change, Usage, apply
from auction.domain.windows import window_starts
from tests.builders import NEW_YORK, NOON, an_offer

OWNER = offer_owner(OfferId("acme-auto"))
DAY = Cap(Measure.CALLS, Period.DAY, 100)


def with_calls(used: int, pending: int, at: datetime = NOON) -> dict[OwnerId, Usage]:
    change = Change(0, (used, 0, 0, 0), (pending, 0, 0, 0))
    return {OWNER: apply(Usage(), window_starts(at, NEW_YORK), change)}


def test_at_noon_a_day_is_half_over_and_its_calls_are_doubled() -> None:
    offer = an_offer(caps=[DAY], buyer_caps=[Cap(Measure.CALLS, Period.TOTAL, 10)])
    own, buyers = cap_outlooks(offer, with_calls(50, 10), NOON)
    assert (own.cap, own.used, own.forecast) == (DAY, 0.6, 1.2)
    assert (buyers.used, buyers.forecast) == (0.0, None)


def test_in_the_first_tenth_of_a_window_nothing_is_foretold() -> None:
    at_one = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
    [outlook] = cap_outlooks(an_offer(caps=[DAY]), with_calls(50, 0, at_one), at_one)
    assert (outlook.used, outlook.forecast) == (0.5, None)


def test_a_limit_of_none_is_full_and_a_window_that_is_gone_is_empty() -> None:
    [full] = cap_outlooks(an_offer(caps=[Cap(Measure.CALLS, Period.DAY, 0)]), {}, NOON)
    assert (full.used, full.forecast) == (1.0, 2.0)
    later = datetime(2026, 11, 25, 17, 0, tzinfo=UTC)
    usage = {OWNER: apply(with_calls(50, 0, later)[OWNER], (0, 0, 0, 0), Change(0, NOTHING))}
    [outlook] = cap_outlooks(an_offer(caps=[DAY]), usage, NOON)
    assert outlook.used == 0.0
