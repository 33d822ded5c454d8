from urllib.parse import parse_qsl

import orjson
import pytest
from lxml import etree
from pydantic import JsonValue

from auction.domain.call import Caller, FieldValue
from buyers.templates import TemplateFaultError, compile_body, compile_header, compile_query
from buyers.tokens import TRACEPARENT, CallerIdMode, CallerIdRule
from tests.unit.buyers.samples import PLAIN, WITHHELD, a_post_occasion, an_occasion

NASTY = "a\"b'c\\d<e>&f=g+h i%j\r\nX-Evil: 1\x00\x1f\ud800é\U0001f600{{ call_id }}"


def json_of(body: JsonValue, fields: dict[str, FieldValue] | None = None) -> object:
    return orjson.loads(compile_body("json", body, PLAIN).render(an_occasion(fields)))


def form_of(body: JsonValue, fields: dict[str, FieldValue] | None = None) -> bytes:
    return compile_body("form", body, PLAIN).render(an_occasion(fields))


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("call_id", "call-1"),
        ("ping_id", "ping-1"),
        ("campaign", "auto-insurance"),
        ("offer", "acme-auto"),
        ("source", "pub-17"),
        ("caller_id", "+13105551234"),
        ("caller_area_code", "310"),
        ("caller_state", "CA"),
        ("dialed_number", "+18005550100"),
        ("fields.zip_code", "90210"),
        ("minimum_bid", "35.00"),
        ("timeout_ms", 500),
        ("bid_id", "b-1"),
        ("bid", "52.00"),
    ],
)
def test_every_token_has_its_value_and_type(token: str, value: object) -> None:
    occasion = a_post_occasion()
    alone = compile_body("json", {"x": f"{{{{ {token} }}}}"}, PLAIN)
    within = compile_body("json", {"x": f"<{{{{ {token} }}}}>"}, PLAIN)

    assert orjson.loads(alone.render(occasion)) == {"x": value}
    assert orjson.loads(within.render(occasion)) == {"x": f"<{value}>"}


def test_a_token_without_a_value_is_null_alone_and_nothing_within_text() -> None:
    body: JsonValue = {"a": "{{ bid }}", "b": "x{{ fields.none }}y", "c": "{{ fields.none }}"}

    assert json_of(body) == {"a": None, "b": "xy", "c": None}


def test_the_trace_is_named_only_where_one_is_kept() -> None:
    assert json_of("{{ traceparent }}") is None
    token = TRACEPARENT.set("00-1-2-01")
    try:
        assert json_of("{{ traceparent }}") == "00-1-2-01"
    finally:
        TRACEPARENT.reset(token)


def test_a_withheld_caller_has_no_caller_id() -> None:
    pieces = compile_body("json", ["{{ caller_id }}", "{{ caller_state }}"], PLAIN)

    assert orjson.loads(pieces.render(an_occasion(caller=Caller()))) == [None, None]


def test_json_keeps_types_and_nests() -> None:
    fields: dict[str, FieldValue] = {"age": 42, "score": 0.5, "insured": True, "zip": "00501"}
    body: JsonValue = {
        "constant": [1, 2.5, True, None, "text", {}, []],
        "deep": {"er": [{"age": "{{ fields.age }}"}, "{{fields.insured}}", "{{ fields.score }}"]},
        "text": "{{ fields.age }}/{{ fields.insured }}/{{ fields.zip }}",
        "zip": "{{ fields.zip }}",
    }

    assert json_of(body, fields) == {
        "constant": [1, 2.5, True, None, "text", {}, []],
        "deep": {"er": [{"age": 42}, True, 0.5]},
        "text": "42/true/00501",
        "zip": "00501",
    }


def test_defaults_and_maps_are_text_as_written() -> None:
    body: JsonValue = {
        "zip": "{{ fields.zip | default: 00000 }}",
        "sex": "{{ fields.sex | map: {M: Male, F: Female} }}",
        "no_match": "{{ fields.other | map: {M: Male} }}",
        "both": "{{ fields.other | map: {M: Male} | default: unknown }}",
        "insured": "{{ fields.insured | map: {true: Y, false: N} }}",
        "age": "{{ fields.age | map: {42: old} }}",
    }
    fields: dict[str, FieldValue] = {"sex": "F", "other": "X", "insured": True, "age": 42}

    assert json_of(body, fields) == {
        "zip": "00000",
        "sex": "Female",
        "no_match": None,
        "both": "unknown",
        "insured": "Y",
        "age": "old",
    }


def test_json_written_as_text_is_filled_in_by_place() -> None:
    text = """{"alone": "{{ timeout_ms }}", "bare": {{ timeout_ms }},
        "within": "in {{ timeout_ms }} ms", "quote": "say \\"{{ fields.q }}\\"",
        "none": {{ fields.none }}, "list": ["{{ fields.q }}"], "open": "\\"{{ timeout_ms }}"}"""

    assert json_of(text, {"q": 'a"b'}) == {
        "alone": 500,
        "bare": 500,
        "within": "in 500 ms",
        "quote": 'say "a"b"',
        "none": None,
        "list": ['a"b'],
        "open": '"500',
    }


def test_a_body_that_is_one_text_is_a_json_text() -> None:
    assert json_of("zip {{ fields.zip_code }}") == "zip 90210"
    assert json_of("{{ timeout_ms }}") == 500


def test_json_written_as_text_must_be_json() -> None:
    with pytest.raises(TemplateFaultError):
        compile_body("json", '{"a": {{ bid }}', PLAIN)


def test_no_value_breaks_out_of_json() -> None:
    body: JsonValue = {"x": "{{ fields.nasty }}", "y": "<{{ fields.nasty }}>"}
    found = json_of(body, {"nasty": NASTY.replace("\ud800", "")})

    nasty = NASTY.replace("\ud800", "")
    assert found == {"x": nasty, "y": f"<{nasty}>"}


def test_a_lone_surrogate_still_makes_a_request() -> None:
    for format_ in ("json", "form"):
        compile_body(format_, {"x": "{{ fields.nasty }}"}, PLAIN).render(
            an_occasion({"nasty": NASTY})
        )


def test_a_form_is_urlencoded_and_a_missing_value_is_empty() -> None:
    body: JsonValue = {
        "offer id": "{{ offer }}",
        "phone": "{{ caller_id }}",
        "none": "{{ fields.none }}",
        "text": "a {{ fields.insured }}&b=c",
        "number": 7,
        "yes": True,
        "null": None,
        "many": ["1", "{{ timeout_ms }}"],
    }

    assert form_of(body, {"insured": False}) == (
        b"offer+id=acme-auto&phone=%2B13105551234&none=&text=a+false%26b%3Dc"
        b"&number=7&yes=true&null=&many=1&many=500"
    )


def test_no_value_adds_a_form_field() -> None:
    nasty = NASTY.replace("\ud800", "")
    found = parse_qsl(form_of({"x": "{{ fields.nasty }}", "y": "1"}, {"nasty": nasty}).decode())

    assert found == [("x", nasty), ("y", "1")]


def test_a_form_may_be_written_as_text() -> None:
    assert form_of("zip={{ fields.zip_code }}&p={{ caller_id }}") == b"zip=90210&p=%2B13105551234"


def test_a_form_holds_no_nested_values() -> None:
    bodies: list[JsonValue] = [[], 7, {"a": {"b": "c"}}, {"a": [["b"]]}]
    for body in bodies:
        with pytest.raises(TemplateFaultError):
            compile_body("form", body, PLAIN)


def test_no_value_breaks_out_of_xml() -> None:
    pieces = compile_body(
        "xml", "<r a=\"{{ fields.nasty }}\" b='{{ fields.nasty }}'>{{ fields.nasty }}</r>", PLAIN
    )
    root = etree.fromstring(pieces.render(an_occasion({"nasty": NASTY})))

    legal = NASTY.translate(dict.fromkeys([0, 0x1F, 0xD800]))
    assert len(root) == 0
    assert root.text == legal.replace("\r\n", "\n")
    assert root.get("a") == root.get("b") == legal.replace("\r\n", " ")


def test_an_xml_body_is_text() -> None:
    with pytest.raises(TemplateFaultError):
        compile_body("xml", {"r": "x"}, PLAIN)


def test_a_query_is_percent_encoded() -> None:
    pieces = compile_query({"CID": "{{ caller_id }}", "a b": "x y&{{ fields.none }}"}, PLAIN, str)

    assert pieces.render(an_occasion()) == b"CID=%2B13105551234&a%20b=x%20y%26"


def test_no_value_adds_a_header_line() -> None:
    header = compile_header("X-Note", "v={{ fields.nasty }}", PLAIN, str)
    value = header.render(an_occasion({"nasty": NASTY}))

    assert value.startswith("v=a\"b'c\\d<e>&f=g+h i%jX-Evil: 1")
    assert not any(ord(character) < 32 or ord(character) == 127 for character in value)


def test_a_header_of_missing_values_is_empty() -> None:
    assert compile_header("X-Note", " {{ fields.none }} ", PLAIN, str).render(an_occasion()) == ""


def test_caller_ids_are_withheld_hashed_or_plain() -> None:
    keyed = CallerIdRule(CallerIdMode.HASHED, b"key")
    unkeyed = CallerIdRule(CallerIdMode.HASHED)
    caller = an_occasion().call.caller

    assert WITHHELD.value(caller) is None
    assert PLAIN.value(caller) == "+13105551234"
    assert keyed.value(caller) == "469d925d791ff51279e94d8ff14a545cfbf1da6e3b5c59f6c490b9055ff442c7"
    assert (
        unkeyed.value(caller) == "a2f7381cd9b4a70cbbbe1113afa0770eed79adfba525c33b69a11f87790850e1"
    )
    assert keyed.value(Caller()) is None
    assert "key" not in repr(keyed)


def test_constant_parts_are_made_once() -> None:
    pieces = compile_body("json", {"a": [1, "x"], "b": "{{ bid }}", "c": {"d": True}}, PLAIN)

    assert [part for part in pieces.parts if isinstance(part, bytes)] == [
        b'{"a":[1,"x"],"b":',
        b',"c":{"d":true}}',
    ]
    assert compile_body("json", {"a": 1}, PLAIN).parts == (b'{"a":1}',)
