"""One outcome for every call of a campaign, whether its trace has it or the terms tell it again."""

from typing import cast

import pytest

from auction.domain.filters import Op, prepare
from auction.domain.offer_reasons import OfferReasons
from auction.domain.reasons import Reason
from auction.domain.report_figures import TracedOffer
from tests.builders import a_call, an_offer


def a_line(code: int | None, *, static: bool = False) -> TracedOffer:
    line = {"offer": "acme", "code": code, "detail": None, "bid": None, "ms": None, "rank": None}
    return cast("TracedOffer", {**line, "static": static})


def test_each_call_has_one_outcome() -> None:
    counted = OfferReasons()
    for line in (a_line(None), a_line(0, static=True), a_line(0), a_line(206), a_line(101)):
        counted.add_traced(line)
    auto = an_offer(filters=(prepare("vertical", Op.EQ, "auto"),))
    counted.add_refused(a_call(fields={"vertical": "home"}), auto, None)
    counted.add_refused(a_call(fields={"vertical": "home"}), an_offer(enabled=False), None)
    counted.add_untold()
    assert (counted.calls, counted.won, counted.untold) == (8, 2, 1)
    assert counted.eligible == 4, "a cap that was reached is none"
    assert counted.reasons == {
        Reason.NO_BID: 1,
        Reason.CAP_REACHED: 1,
        Reason.TIMEOUT: 1,
        Reason.FILTERED: 1,
        Reason.PAUSED: 1,
    }
    assert counted.calls == counted.won + counted.untold + counted.reasons.total()


def test_an_offer_that_the_terms_allow_and_the_decision_did_not_reach_was_not_asked() -> None:
    counted = OfferReasons()
    counted.add_refused(a_call(), an_offer(), None)
    assert counted.reasons == {Reason.NOT_ASKED: 1}


@pytest.mark.parametrize(("quality", "reason"), [(80, Reason.NOT_ASKED), (20, Reason.FILTERED)])
def test_a_call_is_judged_by_the_score_that_it_had_then(quality: int, reason: Reason) -> None:
    good = an_offer(filters=(prepare("quality", Op.GTE, 50),))
    counted = OfferReasons()
    counted.add_refused(a_call(), good, quality)
    assert counted.reasons == {reason: 1}
