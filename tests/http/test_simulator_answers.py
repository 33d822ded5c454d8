"""What simulated buyers say when they behave, over real sockets."""

import re
from decimal import Decimal
from pathlib import Path

import aiohttp
import orjson
import pytest

from buyers.simulator.script import load_script, parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.http.raw_http import PING, exchange, request_bytes, send

ACCEPTANCE_SCRIPT = Path(__file__).parents[1] / "fixtures" / "buyers.yaml"
SECRETS = {"ACME_TOKEN": "a", "BEACON_KEY": "b"}


def one_buyer(**buyer: object) -> SimulatedBuyers:
    return SimulatedBuyers(parse_script({"buyers": [{"name": "acme", **buyer}]}))


async def test_a_plain_ping_gets_a_bid_of_the_scripted_amount() -> None:
    async with one_buyer(ping={"bid": "52.00", "expires_in_s": 30}) as buyers:
        received = await send(buyers.url("acme") + "/ping")

    assert received.status == 200
    assert b"Content-Type: application/json" in received.head
    assert received.json == {
        "accepted": True,
        "bid": "52.00",
        "bid_id": "acme-1",
        "expires_in_s": 30,
    }


async def test_an_amount_may_be_a_json_number() -> None:
    async with one_buyer(ping={"bid": "52.50", "amount_as": "number"}) as buyers:
        received = await send(buyers.url("acme") + "/ping")

    assert b'"bid":52.50,' in received.body


async def test_bids_stay_within_their_distribution_and_vary() -> None:
    bid = {"distribution": "uniform", "low": "30.00", "high": "60.00"}
    async with one_buyer(ping={"bid": bid}) as buyers, aiohttp.ClientSession() as client:
        amounts = set()
        for _ in range(50):
            async with client.post(buyers.url("acme") + "/ping", json=PING) as response:
                amounts.add(Decimal((await response.json())["bid"]))

    assert len(amounts) > 20
    assert min(amounts) >= 30
    assert max(amounts) <= 60


async def test_no_bid_is_a_204_and_a_refusal_says_why() -> None:
    async with one_buyer(ping={"behaviours": {"no_bid": 1}, "reason": "closed"}) as buyers:
        silent = await send(buyers.url("acme") + "/ping")
        buyers.change("acme", ping={"behaviours": {"refusal": 1}})
        worded = await send(buyers.url("acme") + "/ping")
        buyers.change("acme", ping={"behaviours": {"refusal_with_price": 1}, "bid": "41.00"})
        priced = await send(buyers.url("acme") + "/ping")

    assert (silent.status, silent.body) == (204, b"")
    assert worded.json == {"accepted": False, "reason": "closed"}
    assert priced.json == {"accepted": False, "bid": "41.00", "reason": "closed"}


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("low", b'"bid":"0.01"'),
        ("zero", b'"bid":"0.00"'),
        ("negative", b'"bid":"-5.00"'),
        ("thousands", b'"bid":"1,250.00"'),
        ("nan", b'"bid":NaN'),
        ("nan_text", b'"bid":"NaN"'),
        ("huge", b'"bid":1e400'),
        ("huge_text", b'"bid":"1e400"'),
        ("wrong_currency", b'"currency":"XTS"'),
        ("expired", b'"expires_in_s":0'),
        ("bad_destination", b'"destination":"http://127.0.0.1/"'),
    ],
)
async def test_an_odd_bid_says_exactly_what_is_odd(behaviour: str, expected: bytes) -> None:
    async with one_buyer(ping={"behaviours": {behaviour: 1}}) as buyers:
        received = await send(buyers.url("acme") + "/ping")

    assert received.status == 200
    assert expected in received.body


async def test_a_yes_without_an_amount_names_none() -> None:
    async with one_buyer(ping={"behaviours": {"no_amount": 1}}) as buyers:
        received = await send(buyers.url("acme") + "/ping")

    assert received.json == {"accepted": True, "bid_id": "acme-1"}


async def test_a_post_is_accepted_rejected_or_sent_elsewhere() -> None:
    async with one_buyer(post={"destination": "sip:scripted@127.0.0.1"}) as buyers:
        url = buyers.url("acme") + "/post"
        accepted = await send(url)
        buyers.change("acme", post={"behaviours": {"reject": 1}})
        rejected = await send(url)
        buyers.change("acme", post={"behaviours": {"destination": 1}})
        elsewhere = await send(url)

    assert accepted.json == {"accepted": True, "destination": "sip:scripted@127.0.0.1"}
    assert rejected.json == {"accepted": False, "reason": "not interested"}
    assert elsewhere.json == {"accepted": True, "destination": "sip:override@127.0.0.1:5079"}


async def test_the_acceptance_marketplaces_buyers_speak_their_dialects() -> None:
    script = load_script(ACCEPTANCE_SCRIPT, SECRETS)
    async with SimulatedBuyers(script, free_ports=True) as buyers:
        plain = await send(buyers.url("acme") + "/ping", headers={"Authorization": "Bearer a"})
        mapped = await send(buyers.url("beacon") + "/rtb/ping", headers={"X-Api-Key": "b"})
        form = b"offer_id=beacon-1&phone=%2B13105551234"
        posted = await send(buyers.url("beacon") + "/rtb/post", form, {"X-Api-Key": "b"})

    assert orjson.loads(plain.body)["bid"] == "52.00"
    result = orjson.loads(mapped.body)["result"]
    assert result["status"] == "MATCHED"
    assert 32 <= result["offer"].pop("price") <= 48
    assert result["offer"] == {"id": "beacon-1", "sip": "sip:intake@127.0.0.1:5072", "ttl": 45}
    assert posted.json == {"status": "OK"}


async def test_an_xml_buyer_answers_in_xml() -> None:
    dialect = {
        "format": "xml",
        "accepted": "<bid><ok>1</ok><amount>{{ amount }}</amount><id>{{ bid_id }}</id></bid>",
        "refused": "<bid><ok>0</ok><why>{{ reason }}</why></bid>",
    }
    ping = {"dialect": dialect, "bid": "33.10", "reason": "a < b & c"}
    async with one_buyer(ping=ping) as buyers:
        accepted = await send(buyers.url("acme") + "/ping", b"<ping/>")
        buyers.change("acme", ping={"behaviours": {"refusal": 1}})
        refused = await send(buyers.url("acme") + "/ping", b"<ping/>")
        buyers.change("acme", ping={"behaviours": {"doctype": 1}})
        declared = await send(buyers.url("acme") + "/ping", b"<ping/>")

    assert b"Content-Type: application/xml" in accepted.head
    assert accepted.body == b"<bid><ok>1</ok><amount>33.10</amount><id>acme-1</id></bid>"
    assert refused.body == b"<bid><ok>0</ok><why>a &lt; b &amp; c</why></bid>"
    assert declared.body.startswith(b"<!DOCTYPE ")


async def test_form_and_text_buyers_answer_in_their_formats() -> None:
    form = {
        "format": "form",
        "accepted": {"status": "yes", "price": "{{ amount }}", "to": "{{ destination }}"},
        "refused": {"status": "no way"},
    }
    text = {"format": "text", "accepted": "YES {{ amount }} {{ bid_id }}", "refused": "NO"}
    script = parse_script(
        {
            "buyers": [
                {"name": "form", "ping": {"dialect": form, "bid": "$52.50"}},
                {"name": "text", "ping": {"dialect": text, "bid": "12.00"}},
            ]
        }
    )
    async with SimulatedBuyers(script) as buyers:
        in_form = await send(buyers.url("form") + "/ping")
        in_text = await send(buyers.url("text") + "/ping")

    assert in_form.body == b"status=yes&price=%2452.50"
    assert in_text.body == b"YES 12.00 text-1"


async def test_latency_is_kept() -> None:
    async with one_buyer(ping={"latency_ms": 80}) as buyers:
        url = buyers.url("acme") + "/ping"
        async with aiohttp.ClientSession() as client, client.post(url, json=PING) as response:
            assert response.status == 200
        quick = await send(url, wait_s=0.03)

    assert quick.data == b""


async def test_buyers_may_share_a_port_and_are_told_apart_by_path() -> None:
    shared = {"host": "127.0.0.1", "port": 9999}
    script = parse_script(
        {
            "buyers": [
                {"name": "east", **shared, "ping": {"path": "/e", "bid": "1.00"}},
                {
                    "name": "west",
                    **shared,
                    "ping": {"path": "/w", "bid": "2.00"},
                    "post": {"path": "/wp"},
                },
            ]
        }
    )
    async with SimulatedBuyers(script, free_ports=True) as buyers:
        assert buyers.port("east") == buyers.port("west") != 9999
        east = await send(buyers.url("east") + "/e")
        west = await send(buyers.url("west") + "/w")
        nobody = await send(buyers.url("west") + "/ping")

    assert (b'"1.00"' in east.body, b'"2.00"' in west.body, nobody.status) == (True, True, 404)


async def test_requests_that_arrive_together_are_answered_in_order() -> None:
    async with one_buyer(ping={"latency_ms": 5}) as buyers:
        url = buyers.url("acme") + "/ping"
        last = request_bytes(url, b"{}", {"Connection": "close"})
        together = request_bytes(url, b"{}") * 3 + last
        received = await exchange(url, together, until_closed=True)

    assert re.findall(rb'"(acme-[0-9])"', received.data) == [
        b"acme-1",
        b"acme-2",
        b"acme-3",
        b"acme-4",
    ]
    assert received.end == "closed"


async def test_a_get_with_a_query_is_a_ping_too() -> None:
    async with one_buyer() as buyers:
        received = await send(buyers.url("acme") + "/ping?zip=90210", b"", method="GET")

    assert received.status == 200
