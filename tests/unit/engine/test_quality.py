"""Calls that are scored, and offers that ask for a score."""

from auction.domain.filters import Op, prepare
from auction.domain.ids import SourceId
from auction.domain.quality import QualityRule, QualityTerms
from auction.web.explanation import explain, read_trace
from tests.builders import CAMPAIGN, a_call, a_static_offer, an_offer
from tests.unit.engine.harness import a_marketplace
from tests.unit.engine.known import Known
from tests.virtual_time import run_virtually

SCORED = QualityTerms(50, (QualityRule((prepare("zip_code", Op.EXISTS, True),), 15),), 20)
PICKY = (prepare("quality", Op.GTE, 70),)
MODEST_ABOUT_HOMES = (prepare("quality", Op.GTE, 50), prepare("vertical", Op.EQ, "home"))
KNOWN = Known(standings={"pub-17": "0.5", "pub-18": "-0.5"})


def test_an_offer_gets_only_calls_that_score_high_enough_and_the_trace_says_why() -> None:
    market = a_marketplace(
        an_offer(filters=PICKY),
        an_offer("beacon-auto", buyer="beacon", filters=MODEST_ABOUT_HOMES),
        a_static_offer(),
        campaign={"quality": SCORED},
        forecasts=KNOWN,
    )
    good, poor = a_call("good"), a_call("poor", source=SourceId("pub-18"))
    assert run_virtually(market.decide(good))["offer"] == "acme-auto"
    assert run_virtually(market.decide(poor))["offer"] == "cobalt-auto"

    trace = read_trace(market.ledger.traces[poor.call_id])
    assert trace.quality is not None
    assert (trace.quality.score, trace.quality.source_points) == (55, -10)
    entries = explain(market.catalogue.campaigns[CAMPAIGN], poor, trace)
    told = {entry.offer: (entry.reason and entry.reason.outcome, entry.detail) for entry in entries}
    assert told == {
        "acme-auto": ("filtered", "quality"),
        "beacon-auto": ("filtered", "vertical"),
        "cobalt-auto": (None, None),
    }


def test_a_later_attempt_keeps_the_score_of_the_first() -> None:
    market = a_marketplace(
        an_offer("acme-auto", filters=PICKY),
        an_offer("beacon-auto", buyer="beacon", filters=PICKY, ping_post=None, static_price="9"),
        campaign={"quality": SCORED},
        forecasts=KNOWN,
    )
    call = a_call()

    async def scenario() -> None:
        assert (await market.decide(call))["offer"] == "acme-auto"
        market.forecasts = Known(standings={"pub-17": "-1"})
        market.use(market.ledger)
        assert (await market.reroute(call))["offer"] == "beacon-auto"

    run_virtually(scenario())


def test_a_campaign_without_quality_scores_nothing() -> None:
    market = a_marketplace(an_offer())
    call = a_call()
    run_virtually(market.decide(call))
    assert read_trace(market.ledger.traces[call.call_id]).quality is None
