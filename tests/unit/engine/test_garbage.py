"""A decision leaves nothing that only a garbage collection could clear away: those stall calls."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from auction.domain.bidding import NoBid, Quote
from tests.builders import a_call, a_static_offer, an_offer
from tests.unit.engine.harness import Answering, a_marketplace
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
