"""The demo's two data files belong together."""

import pytest

from auction.demo.run import BUYERS, MARKETPLACE, marketplace_for
from buyers.simulator.script import load_script
from buyers.simulator.server import SimulatedBuyers
from config.check import check_file
from config.marketplace import Marketplace


@pytest.fixture
def marketplace() -> Marketplace:
    result = check_file(MARKETPLACE, {})
    assert (result.faults, result.warnings) == ((), ())
    assert result.marketplace is not None
    return result.marketplace


def test_there_are_at_least_six_offers_of_four_buyers(marketplace: Marketplace) -> None:
    assert len(marketplace.buyers) >= 4
    assert sum(len(buyer.offers) for buyer in marketplace.buyers) >= 6


def test_every_offer_that_bids_has_a_simulated_buyer_at_its_addresses(
    marketplace: Marketplace,
) -> None:
    asked = {
        (offer.id, offer.ping_post.ping.url, offer.ping_post.post and offer.ping_post.post.url)
        for buyer in marketplace.buyers
        for offer in buyer.offers
        if offer.ping_post is not None
    }
    script = load_script(BUYERS, {})
    played = set()
    for buyer in script.buyers:
        base = f"http://127.0.0.1:{buyer.port}"
        played.add((buyer.name, base + buyer.ping.path, base + buyer.post.path))
    assert asked == played


async def test_the_marketplace_is_given_the_ports_that_are_really_taken() -> None:
    script = load_script(BUYERS, {})
    async with SimulatedBuyers(script, free_ports=True) as buyers:
        text = marketplace_for(buyers, script)
        for buyer in script.buyers:
            assert f"http://127.0.0.1:{buyers.port(buyer.name)}{buyer.ping.path}\n" in text
    assert "#/" not in text
    assert ":9201/" not in text
