"""A decision leaves nothing that only a garbage collection could clear away: those stall calls."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

from auction.domain.bidding import NoBid, Quote
from auction.domain.filters import Op, prepare
from auction.domain.quality import QualityRule, QualityTerms
from auction.domain.scoring import Odds, OddsBook
from auction.domain.terms import AuctionTerms, Boost, RankBy, Segment
from auction.domain.validation import Consent, Validation, ValueType
from tests.builders import a_call, a_static_offer, an_offer
from tests.unit.engine.harness import Answering, Marketplace, a_marketplace
from tests.unit.engine.known import Known
from tests.virtual_time import run_virtually

CALLS = 20


@contextmanager
def collecting(found: Counter[str]) -> Iterator[None]:
    """What a collection finds of the objects that were made in here, by type."""
    gc.collect()
    gc.freeze()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        found.update(type(each).__qualname__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()


def test_deciding_calls_makes_no_cycles() -> None:
    marketplace = a_marketplace(
        an_offer("acme-auto"),
        an_offer("beacon-auto", buyer="beacon"),
        a_static_offer("cobalt-auto"),
        script={
            "acme-auto": Answering(Quote(amount="40.00", bid_id="b-1"), 20),
            "beacon-auto": Answering(NoBid("full"), 10),
        },
    )
    assert_no_cycles(marketplace)


def test_scored_and_demanding_decisions_make_no_cycles_either() -> None:
    demands = (Validation("zip_code", ValueType.ZIP), Consent("consent_at", timedelta(days=1)))
    senior = Segment("senior", (prepare("age", Op.GTE, 65),))
    home = QualityRule((prepare("homeowner", Op.EXISTS, True),), 5)
    even = Odds(*[Decimal("0.5")] * 3)
    marketplace = a_marketplace(
        an_offer("acme-auto", requirements=demands, boosts=(Boost(Decimal("1.5")),)),
        an_offer("beacon-auto", buyer="beacon", outside=(senior,)),
        an_offer("cyan-auto", buyer="cyan", filters=(prepare("quality", Op.GTE, 50),)),
        campaign={
            "auction": AuctionTerms(boosted=True, rank_by=RankBy.EXPECTED_REVENUE),
            "quality": QualityTerms(50, (home,), 10),
        },
        forecasts=Known(OddsBook({}, {}, even), {"pub-17": "0.5"}),
    )
    assert_no_cycles(marketplace)


def assert_no_cycles(marketplace: Marketplace) -> None:
    """Decide some calls, and look what of them only a collection could have found."""
    found: Counter[str] = Counter()

    async def scenario() -> None:
        await marketplace.decide(a_call("first"))
        with collecting(found):
            for number in range(CALLS):
                await marketplace.decide(a_call(f"call-{number}"))
            # What the loop still holds of the last call is let go in its next turns.
            await asyncio.sleep(1)

    run_virtually(scenario())
    assert not {name: count for name, count in found.items() if count >= CALLS}
