"""What the dialled number says joins the call before anybody is asked, and in further attempts."""

from dataclasses import replace
from typing import Any

from auction.domain.filters import Op, prepare
from auction.domain.ids import OfferId, PoolId, SourceId
from auction.domain.numbers import Lent, NumberRule, NumberTerms, PoolTerms
from auction.domain.terms import Catalogue, OfferTerms
from tests.builders import (
    CAMPAIGN,
    DIALED_NUMBER,
    a_call,
    a_campaign,
    a_catalogue,
    a_static_offer,
    an_offer,
)
from tests.unit.engine.harness import Marketplace, ScriptedGateway, pinged
from tests.unit.engine.test_auction import bids
from tests.virtual_time import run_virtually

BRAND_ONLY = an_offer("acme-auto", filters=(prepare("keyword", Op.EQ, "brand"),))
BEACON = an_offer("beacon-auto", buyer="beacon")
COBALT = a_static_offer("cobalt-auto")
CALL = a_call(source=None)
POOL = PoolTerms(PoolId("web"), CAMPAIGN, (DIALED_NUMBER,), 60, 30, 10, SourceId("pub-1"))


def dialled(*offers: OfferTerms, **terms: Any) -> Marketplace:
    """A market whose dialled number has terms of its own."""
    number = NumberTerms(DIALED_NUMBER, CAMPAIGN, **terms)
    return market(replace(a_catalogue(a_campaign(*offers)), numbers={DIALED_NUMBER: number}))


def pooled(*offers: OfferTerms) -> Marketplace:
    """A market whose dialled number belongs to a pool."""
    catalogue = a_catalogue(a_campaign(*offers))
    return market(replace(catalogue, pool_by_number={DIALED_NUMBER: POOL}))


def market(catalogue: Catalogue) -> Marketplace:
    script = {"acme-auto": bids("50.00"), "beacon-auto": bids("40.00")}
    return Marketplace(catalogue, ScriptedGateway(script))


def test_tags_of_a_number_decide_who_is_asked_and_are_sent_to_them() -> None:
    marketplace = dialled(BRAND_ONLY, source=SourceId("pub-1"), tags={"keyword": "brand"})
    assert run_virtually(marketplace.decide(CALL))["offer"] == "acme-auto"
    [order] = marketplace.gateway.pings
    assert (order.call.source, order.call.fields["keyword"]) == ("pub-1", "brand")


def test_tags_of_the_lease_join_the_call_that_arrives() -> None:
    marketplace = pooled(BRAND_ONLY, COBALT)
    marketplace.ledger.lent[DIALED_NUMBER] = Lent(SourceId("pub-2"), {"keyword": "brand"})
    assert run_virtually(marketplace.decide(CALL))["offer"] == "acme-auto"
    [order] = marketplace.gateway.pings
    assert (order.call.source, order.call.fields["keyword"]) == ("pub-2", "brand")


def test_a_number_of_a_pool_that_is_lent_to_nobody_gives_the_source_of_the_pool() -> None:
    marketplace = pooled(BRAND_ONLY, BEACON)
    assert run_virtually(marketplace.decide(CALL))["offer"] == "beacon-auto"
    assert marketplace.gateway.pings[0].call.source == "pub-1"


def test_a_further_attempt_knows_the_tags_and_keeps_to_the_rules_of_the_number() -> None:
    rule = NumberRule(accepts=False, offers=frozenset({OfferId("beacon-auto")}))
    marketplace = dialled(
        BRAND_ONLY, BEACON, COBALT, tags={"keyword": "brand"}, offer_rules=(rule,)
    )

    async def scenario() -> list[Any]:
        first = await marketplace.decide(CALL)
        return [first["offer"], (await marketplace.reroute(CALL))["offer"]]

    assert run_virtually(scenario()) == ["acme-auto", "cobalt-auto"]
    assert pinged(marketplace) == ["acme-auto"]
    assert marketplace.next_outcomes(CALL)["beacon-auto"] == "number_excluded"


def test_a_call_that_its_number_rejects_gets_no_route_and_nobody_is_asked() -> None:
    marketplace = dialled(BEACON, COBALT, call_rules=(NumberRule(accepts=False),))
    answer = run_virtually(marketplace.decide(CALL))
    assert (answer["action"], answer["reason"]) == ("no_route", "number_rejected")
    assert pinged(marketplace) == []
    assert set(marketplace.outcomes(CALL).values()) == {"number_excluded"}
