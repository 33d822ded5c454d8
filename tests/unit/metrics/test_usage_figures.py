"""Live calls and cap usage, from usage rows to figures."""

from auction.domain.ids import BuyerId, OfferId, buyer_owner, offer_owner
from auction.domain.usage import Usage
from metrics.registry import Metrics
from metrics.usage_figures import usage_figures
from tests.builders import NOON, a_campaign, a_catalogue, an_offer


async def test_live_calls_of_offers_that_are_gone_count_as_other() -> None:
    catalogue = a_catalogue(a_campaign(an_offer("acme-auto")))
    usage = {
        offer_owner(OfferId("acme-auto")): Usage(live=1),
        offer_owner(OfferId("gone-auto")): Usage(live=2),
        offer_owner(OfferId("offer:odd")): Usage(live=4),
        offer_owner(OfferId("idle-auto")): Usage(),
        buyer_owner(BuyerId("gone")): Usage(live=6),
    }
    figures = usage_figures(catalogue, usage, NOON)
    assert figures.live == {"acme-auto": 1, "gone-auto": 2, "offer:odd": 4}
    metrics = Metrics()
    metrics.preload(catalogue)
    metrics.show_usage(figures)
    shown = (await metrics.exposition()).decode()
    assert 'pingpost_live_calls{offer="acme-auto"} 1.0' in shown
    assert 'pingpost_live_calls{offer="other"} 6.0' in shown
