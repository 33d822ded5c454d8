"""The fields of the plain dialect under a buyer's own names."""

from typing import Any

from config.check import check
from tests.unit.buyers.samples import a_marketplace
from tests.unit.buyers.test_gateway import (
    BID,
    ScriptedTransport,
    a_gateway,
    a_ping,
    a_post,
    body_of,
)
from tests.unit.config.samples import ACME, SET, changed

MAPPING = {
    "Zip": "{{ fields.zip_code | truncate: 3 }}",
    "EMAIL": "{{ fields.email | upper }}",
    "place": "{{ caller_state | lower }}-{{ caller_area_code }}",
    "wait": "{{ timeout_ms }}",
    "none": "{{ fields.nothing }}",
}


async def test_a_mapped_ping_and_post_carry_the_buyers_own_fields() -> None:
    transport = ScriptedTransport(BID)
    gateway = a_gateway(a_marketplace({}, post={}, mapping=MAPPING), transport)
    await gateway.ping(a_ping())
    await gateway.post(a_post())

    ping, post = map(body_of, transport.sent)
    mapped = {"Zip": "902", "place": "ca-310", "none": None}
    assert ping["fields"] == {**mapped, "EMAIL": None, "wait": 480}
    assert post["fields"] == {**mapped, "EMAIL": "JO@EXAMPLE.COM", "wait": 500}
    assert ping["caller"] == post["caller"] == {"area_code": "310", "state": "CA", "country": "US"}
    assert (ping["ping_id"], post["bid"], post["post_id"]) == ("ping-1", "52.50", "post-1")


async def test_an_unmapped_offer_beside_it_gets_every_field_that_is_not_private() -> None:
    transport = ScriptedTransport(BID)
    gateway = a_gateway(a_marketplace({}, {}), transport)
    await gateway.ping(a_ping("offer-1"))

    assert body_of(transport.sent[0])["fields"] == {"zip_code": "90210"}


async def test_an_empty_mapping_tells_no_field() -> None:
    transport = ScriptedTransport(BID)
    await a_gateway(a_marketplace({}, mapping={}), transport).ping(a_ping())

    assert body_of(transport.sent[0])["fields"] == {}


def faults(mapping: object) -> list[tuple[str, str]]:
    found = check(changed(((*ACME, "ping_post", "mapping"), mapping)), SET).faults
    return [(fault.path, fault.message) for fault in found]


def test_a_mapping_that_cannot_be_read_is_a_fault() -> None:
    path = "buyers[0].offers[0].ping_post.mapping"
    assert faults([]) == [(path, "must be a mapping of names to texts")]
    assert faults({"": "x"}) == [(f'{path}[""]', "must have 1 to 256 characters")]
    assert faults({"a": ["x"]}) == [(f"{path}.a", "must be text")]
    assert "`upper` takes no argument" in faults({"a": "{{ fields.x | upper: 1 }}"})[0][1]
    assert faults({f"f{number}": "x" for number in range(257)})[0][1] == "has more than 256 entries"
    assert faults({"a": "{{ fields.email }}"}) == []


def test_a_mapping_that_no_request_uses_is_advised_against() -> None:
    body: dict[str, Any] = {"a": 1}
    ping_post = (*ACME, "ping_post")
    data = changed(
        ((*ping_post, "mapping"), MAPPING),
        ((*ping_post, "ping", "body"), body),
        ((*ping_post, "post", "body"), body),
    )
    warnings = [warning.message for warning in check(data, SET).warnings]
    assert "is never used: ping and post have bodies of their own" in warnings
