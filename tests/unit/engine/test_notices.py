"""Who hears of wins and losses, and what."""

from decimal import Decimal

from auction.domain.bidding import NoBid, PostRejected, Quote
from auction.domain.finishing import Finish, FinishResult
from auction.domain.ids import OfferId
from auction.domain.reasons import Reason
from storage.memory import MemoryLedger
from tests.builders import a_call, a_static_offer, an_offer
from tests.unit.engine.harness import Answering, Marketplace, a_marketplace
from tests.unit.engine.test_auction import bids
from tests.virtual_time import run_virtually

NAMES = ("acme-auto", "beacon-auto", "cheap-auto", "dumb-auto", "early-auto")
OFFERS = tuple(an_offer(name) for name in NAMES)
SCRIPT = {
    "acme-auto": Answering(Quote(amount="50.00", bid_id=77)),
    "beacon-auto": bids("40.00"),
    "cheap-auto": bids("1.00"),
    "dumb-auto": Answering(NoBid()),
    "early-auto": bids("60.00", post=PostRejected("full")),
}


def a_listening_marketplace(*wanted_by: str) -> Marketplace:
    marketplace = a_marketplace(*OFFERS, a_static_offer("static-auto"), script=SCRIPT)
    marketplace.notices.wanted_by = {OfferId(name) for name in wanted_by}
    return marketplace


def test_every_bidder_that_asks_hears_how_its_bid_ended() -> None:
    marketplace = a_listening_marketplace(*NAMES, "static-auto")
    run_virtually(marketplace.decide(a_call()))
    told = {notice.offer: notice for notice in marketplace.notices.told}
    assert {offer: notice.reason for offer, notice in told.items()} == {
        "acme-auto": None,
        "beacon-auto": Reason.OUTBID,
        "cheap-auto": Reason.BELOW_MINIMUM,
        "early-auto": Reason.POST_REJECTED,
    }
    won, lost = told[OfferId("acme-auto")], told[OfferId("beacon-auto")]
    assert (won.price, won.bid, won.bid_id) == (Decimal("50.00"), Decimal("50.00"), "77")
    assert (lost.price, lost.bid) == (None, Decimal("40.00"))
    assert won.ping_id != lost.ping_id


def test_nobody_hears_anything_without_asking() -> None:
    marketplace = a_listening_marketplace("beacon-auto")
    run_virtually(marketplace.decide(a_call()))
    assert [notice.offer for notice in marketplace.notices.told] == ["beacon-auto"]


def test_nothing_is_told_before_the_decision_is_stored() -> None:
    marketplace = a_listening_marketplace(*NAMES)
    told: list[int] = []

    class Watched(MemoryLedger):
        async def finish(self, finish: Finish) -> FinishResult:
            told.append(len(marketplace.notices.told))
            return await super().finish(finish)

    marketplace.ledger = Watched(marketplace.clock.now)
    marketplace.use(marketplace.ledger)
    run_virtually(marketplace.decide(a_call()))
    assert told == [0]
    assert marketplace.notices.told


def test_a_standing_bid_that_wins_later_is_told_and_no_loser_twice() -> None:
    marketplace = a_listening_marketplace(*NAMES)

    async def scenario() -> None:
        await marketplace.decide(a_call())
        marketplace.notices.told.clear()
        assert (await marketplace.reroute(a_call()))["offer"] == "beacon-auto"

    run_virtually(scenario())
    (notice,) = marketplace.notices.told
    assert (notice.offer, notice.won, notice.price) == ("beacon-auto", True, Decimal("40.00"))
