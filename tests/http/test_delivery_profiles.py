"""Built-in delivery profiles against buyers that speak their dialects; profiles by the API."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from lxml import etree

from auction.domain.bidding import NoBid, PostAccepted, PostRejected, Quote
from buyers.gateway import compile_gateway
from buyers.native_transport import NativeTransport
from buyers.outbound import OutboundRule
from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from config.built_in_profiles import BUILT_IN
from config.marketplace import read_marketplace
from storage.database import Database
from tests.http.managed_steps import EXAMPLES, ask, faults, managing
from tests.http.test_gateway import a_ping, a_post

RINGBA = {
    "accepted": {
        "bidId": "{{ bid_id }}",
        "bidAmount": "{{ amount }}",
        "expireInSeconds": "{{ expires_in_s }}",
        "sipAddress": "{{ destination }}",
        "bidTerms": [{"callMinDuration": "{{ minimum_duration_s }}", "code": 1}],
    },
    "refused": {"bidAmount": 0, "rejectReason": "{{ reason }}"},
}
FORM = {
    "accepted": {
        "response": {
            "status": "Matched",
            "price": "{{ amount }}",
            "lead_id": "{{ bid_id }}",
            "phone": "{{ destination }}",
        }
    },
    "refused": {"response": {"status": "Unmatched", "error": "{{ reason }}"}},
}
XML = {
    "format": "xml",
    "accepted": (
        "<bid_response><status>accepted</status><amount>{{ amount }}</amount>"
        "<id>{{ bid_id }}</id><destination>{{ destination }}</destination>"
        "<expires>{{ expires_in_s }}</expires></bid_response>"
    ),
    "refused": "<bid_response><status>no</status><reason>{{ reason }}</reason></bid_response>",
}
XML_POST = {
    "format": "xml",
    "accepted": (
        "<call_response><status>accepted</status>"
        "<destination>{{ destination }}</destination></call_response>"
    ),
    "refused": "<call_response><status>no</status><reason>{{ reason }}</reason></call_response>",
}
FORM_POST = {
    "accepted": {"response": {"status": "Matched", "phone": "{{ destination }}"}},
    "refused": FORM["refused"],
}
DIALECTS: Mapping[str, tuple[object, object]] = {
    "plain": ("plain", "plain"),
    "ringba": (RINGBA, "plain"),
    "form": (FORM, FORM_POST),
    "xml": (XML, XML_POST),
}
DESK = "sip:desk@127.0.0.1"


def a_script(name: str) -> dict[str, Any]:
    ping, post = DIALECTS[name]
    bid = {"bid": "52.50", "expires_in_s": 30, "minimum_duration_s": 90, "destination": DESK}
    if name == "ringba":
        bid["amount_as"] = "number"
    if name == "form":
        del bid["expires_in_s"], bid["minimum_duration_s"]
    ends = {"ping": {**bid, "dialect": ping}, "post": {"dialect": post, "destination": DESK}}
    return {"buyers": [{"name": "acme", "record": 10, **ends}]}


@asynccontextmanager
async def a_transport() -> AsyncIterator[NativeTransport]:
    opened = NativeTransport(OutboundRule([ip_network("127.0.0.0/8")]))
    try:
        yield opened
    finally:
        await opened.close()


def seen(body: bytes) -> dict[str, Any]:
    """A request's values, whatever its format."""
    if body.startswith(b"{"):
        plain: dict[str, Any] = orjson.loads(body)
        return plain
    if body.startswith(b"<"):
        return {each.tag: each.text for each in etree.fromstring(body)}
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


@pytest.mark.parametrize("name", BUILT_IN)
async def test_a_built_in_profile_bids_and_posts_with_a_buyer_of_its_kind(name: str) -> None:
    script = parse_script(a_script(name))
    async with SimulatedBuyers(script) as buyers, a_transport() as transport:
        url = buyers.url("acme")
        written: dict[str, object] = {"profile": name, "ping": {"url": f"{url}/ping"}}
        if name != "ringba":
            written["post"] = {"url": f"{url}/post"}
        offer = {"id": "offer-0", "campaign": "auto-insurance", "ping_post": written}
        gateway = compile_gateway(
            read_marketplace(
                {
                    "campaigns": [{"id": "auto-insurance"}],
                    "buyers": [{"id": "acme", "offers": [offer]}],
                }
            ),
            transport=transport,
            environ={},
            box=None,
            hash_key_for=lambda offer: b"",
        )
        reply = await gateway.ping(a_ping())
        assert isinstance(reply, Quote), reply
        assert (str(reply.amount), reply.bid_id) in {("52.50", "acme-1"), ("52.5", "acme-1")}
        assert reply.destination == DESK
        assert str(reply.expires_in_s) == ("None" if name == "form" else "30")
        [ping] = [seen(each.body) for each in buyers.buyer("acme").requests]
        assert "90210" in str(ping)
        assert "3105551234" not in str(ping)

        buyers.change("acme", ping={"behaviours": {"refusal": 1}, "reason": "no agent"})
        refused = await gateway.ping(a_ping())
        assert refused == NoBid("no agent")
        if name == "ringba":
            return
        accepted = await gateway.post(a_post(bid_id="b-7"))
        assert accepted == PostAccepted(DESK)
        posted = seen(buyers.buyer("acme").requests[-1].body)
        assert "b-7" in posted.values()
        assert "3105551234" in str(posted)
        buyers.reset()
        buyers.change("acme", post={"behaviours": {"reject": 1}, "reason": "taken"})
        assert await gateway.post(a_post()) == PostRejected("taken")


async def test_a_profile_changed_by_the_api_is_checked_with_the_offers_that_take_it(
    database: Database,
) -> None:
    async with managing(database) as api:
        profiles = "/v1/delivery-profiles"
        assert (await ask(api, "POST", profiles, EXAMPLES["delivery-profiles"])).status == 201
        written = {"profile": "house", "minimum_bid": "20.00", "ping": {"url": "https://d.example"}}
        offer = {**EXAMPLES["offers"], "ping_post": written}
        created = await ask(api, "POST", "/v1/offers", offer)
        assert created.status == 201, created.body
        assert created.json()["ping_post"] == written

        unknown = {**offer, "id": "other", "ping_post": {**written, "profile": "nobodys"}}
        refused = await ask(api, "POST", "/v1/offers", unknown)
        assert refused.status == 422
        assert list(faults(refused)) == ["ping_post.profile"]
        breaking = await ask(api, "PATCH", f"{profiles}/house", {"fixed_amount": "5.00"})
        [message] = faults(breaking).values()
        assert "would break offer delta-auto" in message
        wrong = {"ping_post": {**written, "minimum_bid": "23.00"}}
        assert (await ask(api, "PATCH", "/v1/offers/delta-auto", wrong)).status == 422
        telling = {"ping": {"body": {"mail": "{{ fields.email }}"}}}
        breaking = await ask(api, "PATCH", f"{profiles}/house", telling)
        assert "private field email" in breaking.json()["errors"][0]["message"], breaking.body
        assert (await ask(api, "DELETE", f"{profiles}/house")).status == 409
        assert (await ask(api, "PATCH", f"{profiles}/house", {"name": "Ours"})).status == 200
