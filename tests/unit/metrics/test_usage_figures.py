"""Live calls and cap usage, from usage rows to figures."""

from collections.abc import Iterator

import pytest

from auction.domain.ids import BuyerId, OfferId, buyer_owner, offer_owner
from auction.domain.terms import Cap, Catalogue, Measure, OfferTerms, Period
from auction.domain.usage import Usage
from metrics import usage_figures as module
from metrics.registry import Metrics
from metrics.usage_figures import LimitLabels, limit_labels, usage_figures
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


DAILY, MONTHLY = (Cap(Measure.CALLS, each, 10) for each in (Period.DAY, Period.MONTH))


def test_labels_of_limits_are_made_again_for_the_offers_only_that_have_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    def counted(terms: OfferTerms) -> Iterator[str]:
        made.append(terms.id)
        return limit_labels(terms)

    monkeypatch.setattr(module, "limit_labels", counted)
    labels = LimitLabels()
    stays, changes = an_offer("stays", caps=[DAILY]), an_offer("changes", caps=[DAILY])
    assert labels.of(of(stays, changes)) == {
        "stays": {"offer_calls_per_day"},
        "changes": {"offer_calls_per_day"},
    }
    assert labels.of(of(stays, an_offer("changes", caps=[MONTHLY]))) == {
        "stays": {"offer_calls_per_day"},
        "changes": {"offer_calls_per_month"},
    }
    assert made == ["changes", "stays", "changes"]
    assert labels.of(of(stays)).keys() == {"stays"}


def of(*offers: OfferTerms) -> Catalogue:
    return a_catalogue(a_campaign(*offers))
