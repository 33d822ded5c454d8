import json
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import orjson
import pytest

from auction.domain.bidding import NoBid, PostAccepted, PostRejected, PostUnknown, Quote
from auction.domain.call import Caller, FieldValue
from buyers.exact_json import MalformedAnswerError
from buyers.plain_dialect import ping_body, post_body, read_ping, read_post, render_call
from tests.unit.buyers.samples import PLAIN, WITHHELD, a_post_occasion, an_occasion

PING = {
    "ping_id": "ping-1",
    "campaign": "auto-insurance",
    "offer": "acme-auto",
    "caller": {"area_code": "310", "state": "CA", "country": "US"},
    "fields": {"vertical": "auto_insurance", "zip_code": "90210"},
    "minimum_bid": "35.00",
    "timeout_ms": 500,
}


def test_a_ping_tells_what_the_contract_says_and_no_more() -> None:
    assert orjson.loads(ping_body(an_occasion(), WITHHELD)) == PING


def test_a_ping_names_the_caller_only_where_the_offer_asks_for_it() -> None:
    body = orjson.loads(ping_body(an_occasion(), PLAIN))

    assert body == {**PING, "caller_id": "+13105551234"}


def test_a_post_is_the_ping_with_caller_bid_and_key() -> None:
    assert orjson.loads(post_body(a_post_occasion(), PLAIN)) == {
        **PING,
        "caller_id": "+13105551234",
        "bid_id": "b-1",
        "bid": "52.00",
        "post_id": "post-1",
    }


def test_a_withheld_caller_is_null() -> None:
    body = orjson.loads(post_body(a_post_occasion(caller=Caller()), PLAIN))

    assert body["caller_id"] is None
    assert body["caller"] == {"area_code": None, "state": None, "country": None}


def test_fields_of_every_type_keep_it() -> None:
    fields: dict[str, FieldValue] = {
        "age": 42,
        "score": 0.5,
        "insured": True,
        "name": 'M"ü\n',
        "large": 2**70,
    }
    body = ping_body(an_occasion(MappingProxyType(fields)), WITHHELD)

    assert b'"large":' in body
    assert orjson.loads(body)["fields"] == {**fields, "large": float(2**70)}


@pytest.mark.parametrize("score", [0.5, 2**70, "\ud800"])
def test_a_call_that_was_rendered_before_reads_the_same(score: FieldValue) -> None:
    occasion = an_occasion(MappingProxyType({"score": score, "name": 'M"ü'}))
    rendered = render_call(occasion.call.caller, occasion.fields)
    body = ping_body(replace(occasion, rendered=rendered), PLAIN)

    assert json.loads(body) == json.loads(ping_body(occasion, PLAIN))
    assert [*json.loads(body)] == [*PING, "caller_id"]


def test_an_acceptance_is_a_quote_of_what_was_sent() -> None:
    body = b"""{"accepted": true, "bid": 52.5, "bid_id": "b-1", "destination": "sip:a@b.example",
        "expires_in_s": 60, "minimum_duration_s": 90.5, "currency": "USD", "else": 1}"""

    assert read_ping(body) == Quote(
        Decimal("52.5"), "USD", "b-1", "sip:a@b.example", 60, Decimal("90.5")
    )


@pytest.mark.parametrize(
    ("bid", "amount"),
    [
        (b'"52.00"', "52.00"),
        (b"52", 52),
        (b"-52", -52),
        (b"null", None),
        (b"52.99999999999999999999", Decimal("52.99999999999999999999")),
        (b"1e400", Decimal("1e400")),
        (b'"NaN"', "NaN"),
        (b"true", True),
    ],
)
def test_the_amount_is_just_what_was_sent(bid: bytes, amount: object) -> None:
    assert read_ping(b'{"accepted": true, "bid": %b}' % bid) == Quote(amount)


def test_a_refusal_is_no_bid_whatever_price_it_names() -> None:
    assert read_ping(b'{"accepted": false, "bid": 99, "reason": "closed"}') == NoBid("closed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"accepted"',
        b"{}",
        b'{"bid": 52}',
        b'{"accepted": null}',
        b'{"accepted": "true", "bid": 52}',
        b'{"accepted": 1, "bid": 52}',
        b'{"accepted": {}, "bid": 52}',
        b'{"accepted": true, "bid": NaN}',
        b'{"accepted": true, "bid": 52',
        b"accepted",
    ],
)
def test_anything_but_true_or_false_is_malformed_and_an_unknown_post(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read_ping(body)
    assert isinstance(read_post(body), PostUnknown)


def test_a_post_is_accepted_or_rejected() -> None:
    assert read_post(b'{"accepted": true}') == PostAccepted()
    assert read_post(b'{"accepted": true, "destination": "+13105550000"}') == PostAccepted(
        "+13105550000"
    )
    assert read_post(b'{"accepted": false, "reason": "full"}') == PostRejected("full")
