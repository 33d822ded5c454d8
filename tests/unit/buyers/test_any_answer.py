"""Whatever a buyer sends and whatever a call holds: a reply, a request, never a crash."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from auction.domain.bidding import NoBid, PingFault, PostAccepted, Quote
from auction.domain.call import FieldValue
from buyers import plain_dialect
from buyers.dialect import PingDialect, PostDialect
from buyers.mapping import compile_mapping
from buyers.templates import compile_body, compile_header
from buyers.transport import RawAnswer
from tests.unit.buyers.samples import PLAIN, a_response, an_occasion

steady = settings(derandomize=True, max_examples=150, deadline=None)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["accepted", "bid", "s", "reason"]), inner, max_size=4)
    ),
    max_leaves=12,
)
answers = (
    st.binary(max_size=200)
    | values.map(lambda value: json.dumps(value).encode())
    | st.text(alphabet='{}[]":,acepted tru52.9e+-NaN<>/!&;=', max_size=60).map(str.encode)
)
MAPPINGS = {
    "json": a_response(accepted="accepted", amount="max(bid)", reason="reason.s"),
    "form": a_response(format="form", accepted="accepted", amount="bid"),
    "xml": a_response(format="xml", accepted="//accepted", amount="number(//bid)"),
    "text": a_response(format="text", accepted="(a.*d)", amount="([0-9.]+)"),
}


@given(answers)
@steady
def test_a_plain_answer_is_always_a_reply(body: bytes) -> None:
    reply = PingDialect(plain_dialect.read_ping).read(RawAnswer(200, body))
    posted = PostDialect(plain_dialect.read_post).read(RawAnswer(200, body)).reply

    assert isinstance(reply, Quote | NoBid | PingFault)
    assert not (isinstance(reply, Quote) and isinstance(reply.amount, float))
    assert isinstance(reply, Quote) == isinstance(posted, PostAccepted)


@pytest.mark.parametrize("format_", MAPPINGS)
@given(body=answers)
@steady
def test_a_mapped_answer_is_always_a_reply(format_: str, body: bytes) -> None:
    mapping = compile_mapping(MAPPINGS[format_])
    reply = PingDialect(mapping.read_ping).read(RawAnswer(200, body))
    posted = PostDialect(mapping.read_post).read(RawAnswer(200, body)).reply

    assert isinstance(reply, Quote | NoBid | PingFault)
    assert not (isinstance(reply, Quote) and isinstance(reply.amount, float))
    assert isinstance(reply, Quote) == isinstance(posted, PostAccepted)


fields: st.SearchStrategy[FieldValue] = (
    st.text(max_size=30)
    | st.text(alphabet="\r\n\0\"'<>&%=;{}\\ \x7f\u2028\ufffe", max_size=20)
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
)


def rendered(format_: str, body: Any, value: FieldValue) -> bytes:
    occasion = an_occasion({"x": value} if value != "" else {})
    return compile_body(format_, body, PLAIN).render(occasion)


def as_text(value: FieldValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(fields)
@steady
def test_any_value_survives_json(value: FieldValue) -> None:
    found: Mapping[str, object] = orjson.loads(
        rendered("json", {"alone": "{{ fields.x }}", "within": "<{{ fields.x }}>"}, value)
    )

    assert found == {"alone": None if value == "" else value, "within": f"<{as_text(value)}>"}
    assert type(found["alone"]) in {type(value), type(None)}


@given(fields)
@steady
def test_any_value_survives_a_form(value: FieldValue) -> None:
    sent = rendered("form", {"x": "{{ fields.x }}", "y": "1"}, value).decode()

    assert parse_qsl(sent, keep_blank_values=True) == [("x", as_text(value)), ("y", "1")]


@given(fields)
@steady
def test_any_value_stays_inside_its_xml(value: FieldValue) -> None:
    root = etree.fromstring(
        rendered("xml", "<r a=\"{{ fields.x }}\" b='{{ fields.x }}'>{{ fields.x }}</r>", value)
    )

    assert len(root) == 0
    assert set(root.attrib) == {"a", "b"}


@given(fields)
@steady
def test_any_value_stays_inside_its_header(value: FieldValue) -> None:
    header = compile_header("X-Value", "v {{ fields.x }}", PLAIN, str)

    assert not re.search(r"[\x00-\x1f\x7f]", header.render(an_occasion({"x": value})))
