"""Callers on lists: what the engine makes of them, and that a replay agrees."""

import orjson
import pytest

from auction.cli.replay import read_decision
from auction.domain.ids import BuyerId, OfferId, SuppressionId
from auction.domain.replay import Replayed, replay
from auction.domain.replay_record import Changes
from tests.builders import CALLER, CAMPAIGN, a_call, a_static_offer, an_offer, ping_post
from tests.unit.engine.harness import Answering, Marketplace, a_marketplace, pinged
from tests.virtual_time import run_virtually

DNC, CLIENTS, ELSEWHERE = map(SuppressionId, ("dnc", "clients", "elsewhere"))
RULES = {DNC: None, CLIENTS: BuyerId("acme")}
ACME, BEACON = an_offer("acme-auto"), an_offer("beacon-auto", buyer="beacon")
COBALT = a_static_offer("cobalt-auto", buyer="cobalt")


def on_lists(*lists: SuppressionId) -> Marketplace:
    marketplace = a_marketplace(ACME, BEACON, COBALT, campaign={"suppressions": RULES})
    assert CALLER.number is not None
    marketplace.ledger.suppressed[CALLER.number] = lists
    return marketplace


def replayed(
    marketplace: Marketplace, reason: str | None, changes: Changes | None = None
) -> Replayed:
    stored = marketplace.ledger.traces[a_call().call_id]
    recorded = read_decision(a_call(), CAMPAIGN, marketplace.catalogue, stored, reason=reason)
    return replay(recorded, changes)


def test_a_buyers_list_keeps_its_offers_out_and_nobody_else() -> None:
    marketplace = on_lists(CLIENTS, ELSEWHERE)
    decision = run_virtually(marketplace.decide(a_call()))
    assert decision["offer"] == "beacon-auto"
    assert pinged(marketplace) == ["beacon-auto"]
    entry = marketplace.trace(a_call())["acme-auto"]
    assert (entry["outcome"], entry["code"]) == ("suppressed", 209)
    assert entry["detail"] == "caller is on list clients"
    assert replayed(marketplace, None).same


@pytest.mark.parametrize("lists", [(DNC,), (CLIENTS, DNC)])
def test_a_list_of_all_leaves_no_route_and_nobody_is_asked(
    lists: tuple[SuppressionId, ...],
) -> None:
    marketplace = on_lists(*lists)
    decision = run_virtually(marketplace.decide(a_call()))
    assert (decision["action"], decision["reason"]) == ("no_route", "caller_blocked")
    assert pinged(marketplace) == []
    assert set(marketplace.outcomes(a_call()).values()) == {"suppressed"}
    again = replayed(marketplace, "caller_blocked")
    assert again.same
    assert again.again.reason == "caller_blocked"


def test_lists_of_others_change_nothing() -> None:
    marketplace = on_lists(ELSEWHERE)
    assert run_virtually(marketplace.decide(a_call()))["action"] == "route"
    assert orjson.loads(marketplace.ledger.traces[a_call().call_id])["suppressed"] == ["elsewhere"]


def test_a_caller_who_came_on_a_list_meanwhile_is_not_sold_again() -> None:
    marketplace = on_lists()

    async def scenario() -> list[str | None]:
        answers = [await marketplace.decide(a_call())]
        assert CALLER.number is not None
        for lists in ((CLIENTS,), (DNC,)):
            marketplace.ledger.suppressed[CALLER.number] = lists
            answers.append(await marketplace.reroute(a_call(), len(answers)))
        return [answer["offer"] for answer in answers]

    first, second, third = run_virtually(scenario())
    assert {first, second} <= {"beacon-auto", "acme-auto", "cobalt-auto"}
    assert first != second != "acme-auto"
    assert third is None


def test_an_offer_that_was_kept_out_takes_no_time_in_a_replay_either() -> None:
    slow = Answering(after_ms=1500)
    marketplace = a_marketplace(
        an_offer("acme-auto", ping_post=ping_post(post_timeout_ms=800)),
        an_offer(
            "beacon-auto",
            buyer="beacon",
            ping_post=ping_post(ping_timeout_ms=1900, post_timeout_ms=50),
        ),
        script={"beacon-auto": slow},
        campaign={"suppressions": RULES},
    )
    assert CALLER.number is not None
    marketplace.ledger.suppressed[CALLER.number] = (CLIENTS,)
    assert run_virtually(marketplace.decide(a_call(timeout_ms=None)))["offer"] == "beacon-auto"
    assert replayed(marketplace, None).same
    quicker = Changes(timeouts_ms={OfferId("beacon-auto"): 1400})
    assert replayed(marketplace, None, quicker).again.offer is None
