from decimal import Decimal

import orjson
import pytest

from auction.domain.bidding import NoBid, PostAccepted, PostRejected, PostUnknown, Quote
from buyers.exact_json import MalformedAnswerError
from buyers.mapping import compile_mapping
from tests.unit.buyers.samples import a_response

FULL = a_response(
    format="json",
    accepted={"at": "result.status", "equals": ["MATCHED"]},
    amount="result.price",
    currency="result.currency",
    bid_id="result.id",
    destination="result.sip",
    expires_in_s="result.ttl",
    minimum_duration_s="result.seconds",
    reason="result.reason",
)


def test_a_mapped_acceptance_is_a_quote_of_what_was_sent() -> None:
    body = b"""{"result": {"status": "MATCHED", "price": 41.5, "currency": "USD", "id": 17,
        "sip": "sip:a@b.example", "ttl": "30", "seconds": 90}}"""

    assert compile_mapping(FULL).read_ping(body) == Quote(
        Decimal("41.5"), "USD", 17, "sip:a@b.example", "30", 90
    )


def test_a_mapped_refusal_is_no_bid_whatever_price_it_names() -> None:
    body = b'{"result": {"status": "NO_MATCH", "price": 99.00, "reason": "closed"}}'

    assert compile_mapping(FULL).read_ping(body) == NoBid("closed")


def test_an_answer_without_the_mapped_acceptance_is_no_bid_and_an_unknown_post() -> None:
    mapping = compile_mapping(FULL)

    for body in [
        b"{}",
        b"[]",
        b'{"result": {"status": null, "price": 1}}',
        b'{"result": {"status": "  "}}',
    ]:
        assert mapping.read_ping(body) == NoBid(None)
        assert isinstance(mapping.read_post(body), PostUnknown)


def test_a_mapped_answer_that_is_not_json_is_malformed_and_an_unknown_post() -> None:
    mapping = compile_mapping(FULL)

    with pytest.raises(MalformedAnswerError):
        mapping.read_ping(b"<html>")
    assert mapping.read_post(b"<html>") == PostUnknown("not JSON")


@pytest.mark.parametrize(
    ("equals", "answer", "accepted"),
    [
        (["MATCHED"], "MATCHED", True),
        (["MATCHED"], " MATCHED\n", True),
        (["MATCHED"], "matched", False),
        (["MATCHED", "OK"], "OK", True),
        ([1], 1, True),
        ([1], "1", True),
        (["1"], 1, True),
        (["1"], 1.0, True),
        (["1.0"], 1.0, True),
        ([1], 1.5, False),
        ([1], True, False),
        ([True], True, True),
        ([True], "true", True),
        (["true"], True, True),
        (["true"], "TRUE", False),
        ([False], False, True),
        (["yes"], ["yes"], True),
        (["yes"], ["yes", "no"], False),
        (["yes"], {"yes": "yes"}, False),
        ([], True, True),
        ([], "TRUE", True),
        ([], "Yes", True),
        ([], " ok ", True),
        ([], "Accepted", True),
        ([], 1, True),
        ([], 1.0, True),
        ([], "1", True),
        ([], False, False),
        ([], "false", False),
        ([], 0, False),
        ([], 2, False),
        ([], "no", False),
        ([], "y", False),
        ([], "not accepted", False),
        ([], {"ok": True}, False),
        ([], ["ok", "ok"], False),
    ],
)
def test_what_means_yes(equals: list[object], answer: object, accepted: bool) -> None:
    mapping = compile_mapping(a_response(accepted={"at": "a", "equals": equals}))
    body = orjson.dumps({"a": answer})

    assert isinstance(mapping.read_ping(body), Quote) is accepted
    assert mapping.read_post(body) == (PostAccepted() if accepted else PostRejected())


def test_an_exponent_bomb_is_compared_without_writing_it_out() -> None:
    mapping = compile_mapping(a_response(accepted={"at": "a", "equals": [1]}))

    assert mapping.read_ping(b'{"a": 1e999999999}') == NoBid(None)


@pytest.mark.parametrize(
    ("amount", "reply"),
    [
        (52, Quote(52)),
        ("$52.50", Quote("$52.50")),
        (-3, Quote(-3)),
        (0, NoBid("none free")),
        (0.0, NoBid("none free")),
        ("0.00", NoBid("none free")),
        ("$0", NoBid("none free")),
        ("", NoBid("none free")),
        (None, NoBid("none free")),
    ],
)
def test_without_accepted_an_amount_is_the_yes(amount: object, reply: object) -> None:
    mapping = compile_mapping(a_response(amount="bidAmount", reason="rejectReason"))
    body = orjson.dumps({"bidAmount": amount, "rejectReason": "none free"})

    assert mapping.read_ping(body) == reply


def test_a_refusal_that_is_not_mapped_is_no_bid_whatever_price_it_names() -> None:
    mapping = compile_mapping(a_response(amount="bid", reason="why"))

    assert mapping.read_ping(b'{"accepted": false, "bid": 52, "why": "full"}') == NoBid("full")
    assert mapping.read_ping(b'{"accepted": true, "bid": 52}') == Quote(52)
    assert mapping.read_ping(b'{"offer": {"accepted": false}, "bid": 52}') == Quote(52)
    assert mapping.read_post(b'{"accepted": false, "why": "full"}') == PostRejected("full")


def test_with_neither_accepted_nor_amount_the_plain_rule_holds() -> None:
    mapping = compile_mapping(a_response(destination="sip"))

    assert mapping.read_ping(b'{"accepted": true, "sip": "sip:a@b.example"}') == Quote(
        destination="sip:a@b.example"
    )
    assert mapping.read_ping(b'{"accepted": "true", "sip": "sip:a@b.example"}') == NoBid()


def test_1e400_is_an_amount_that_the_judge_will_refuse() -> None:
    mapping = compile_mapping(a_response(amount="bid"))

    assert mapping.read_ping(b'{"bid": 1e400}') == Quote(Decimal("1e400"))


def test_a_post_without_accepted_is_read_by_the_plain_rule() -> None:
    mapping = compile_mapping(a_response(destination="sip", reason="why"))

    assert mapping.read_post(b'{"accepted": true, "sip": "sip:a@b.example"}') == PostAccepted(
        "sip:a@b.example"
    )
    assert mapping.read_post(b'{"accepted": false, "why": "full"}') == PostRejected("full")
    assert isinstance(mapping.read_post(b'{"accepted": "true"}'), PostUnknown)


def test_xml_form_and_text_answers_are_mapped_alike() -> None:
    xml = compile_mapping(
        a_response(
            format="xml", accepted={"at": "/r/s", "equals": ["0"]}, amount="/r/p", bid_id="//@id"
        )
    )
    form = compile_mapping(a_response(format="form", accepted="s", amount="p"))
    text = compile_mapping(
        a_response(format="text", accepted=r"^(OK)", amount=r"price=(\S+)", reason="because (.*)")
    )

    assert xml.read_ping(b'<r id="7"><s>0</s><p>52.50</p></r>') == Quote("52.50", bid_id="7")
    assert form.read_ping(b"s=yes&p=41") == Quote("41")
    assert text.read_ping(b"OK price=52.50") == Quote("52.50")
    assert text.read_ping(b"NO because closed") == NoBid("closed")
    assert isinstance(text.read_post(b"<html>"), PostUnknown)


def test_a_buyers_reason_is_made_fit_for_a_trace() -> None:
    mapping = compile_mapping(a_response(accepted="a", reason="r"))

    assert mapping.read_ping(b'{"a": false, "r": "blocked: +13105551234\\r\\n"}') == NoBid(
        "blocked: ***"
    )
