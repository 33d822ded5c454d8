from decimal import Decimal

import pytest

from buyers.documents import (
    FORMATS,
    ExpressionFaultError,
    Reading,
    compile_jmespath,
    compile_regex,
    compile_xpath,
)
from buyers.exact_json import MalformedAnswerError


def read(format_: str, expression: str, body: bytes) -> object:
    answers = FORMATS[format_]
    return Reading(answers.compile(expression)).value(answers.parse(body), body)


ANSWER = b"""{"result": {"status": "MATCHED", "offer": {"price": 41.55, "id": 7}, "empty": "",
    "none": null, "list": [1.50], "two": [1, 2], "no": []}, "a-b": "dash",
    "buyers": [{"bid": 52.99999999999999999999, "id": "x"}, {"bid": 50, "id": "y"}]}"""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("result.status", "MATCHED"),
        ("result.offer.price", Decimal("41.55")),
        ("result.offer.id", 7),
        ('"a-b"', "dash"),
        ("result.empty", None),
        ("result.none", None),
        ("result.missing.deeper", None),
        ("result.status.deeper", None),
        ("result.list", Decimal("1.50")),
        ("result.no", None),
        ("result.two", [1, 2]),
        ("buyers[0].bid", Decimal("52.99999999999999999999")),
        ("buyers[?id=='y'].bid", 50),
        ("buyers[?id=='z'].bid", None),
        ("max_by(buyers, &bid).id", "x"),
        ("to_number('52.5')", Decimal("52.5")),
        ("sum(result.two)", 3),
        ("length(result.offer.price)", None),
        ("contains(result.missing, 'x')", None),
        ("result.status == 'MATCHED'", True),
        ("result.offer.price > `40`", True),
    ],
)
def test_a_jmespath_finds_a_value_in_json(path: str, value: object) -> None:
    assert read("json", path, ANSWER) == value


def test_a_jmespath_on_what_is_no_object_finds_nothing() -> None:
    assert read("json", "a.b", b"[1]") is None
    assert read("json", "a.b", b"17") is None


def test_a_jmespath_finds_a_value_in_a_form() -> None:
    body = b"status=OK&price=%2452.50&empty=&name=a+b%20c\n"

    assert read("form", "status", body) == "OK"
    assert read("form", "price", body) == "$52.50"
    assert read("form", "name", body) == "a b c"
    assert read("form", "empty", body) is None
    assert read("form", "missing", body) is None


def test_a_form_of_too_many_fields_is_malformed() -> None:
    with pytest.raises(MalformedAnswerError):
        read("form", "a", b"a=1&" * 2000)


XML = b"""<?xml version="1.0" encoding="ISO-8859-1"?>
<r xmlns:n="urn:n"><status code="7"> OK </status><bid>52.50</bid><bid>60</bid><empty/>
<name>M\xfcller &amp; <b>Co</b></name><n:x>ns</n:x></r>"""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/r/status", "OK"),
        ("//status/@code", "7"),
        ("/r/bid", "52.50"),
        ("//bid/text()", "52.50"),
        ("string(//bid[2])", "60"),
        ("number(//bid)", Decimal("52.5")),
        ("number(//status)", None),
        ("/r/empty", None),
        ("/r/missing", None),
        ("//name", "Müller & Co"),
        ("//*[local-name()='x']", "ns"),
        ("//unknown:x", None),
        ("//bid > 50", True),
        ("//bid[$variable]", None),
    ],
)
def test_an_xpath_finds_a_value_in_xml(path: str, value: object) -> None:
    assert read("xml", path, XML) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<a>",
        b"<a></b>",
        b'<!DOCTYPE a><a status="1"/>',
        b'<!DOCTYPE a SYSTEM "http://buyer.example/a.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"),
        b'<!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;">]><a b="&y;"/>',
        b"<a>&undefined;</a>",
        b"<a>" * 10_000 + b"</a>" * 10_000,
        b'<?xml version="1.0" encoding="no-such"?><a/>',
    ],
)
def test_xml_that_is_broken_or_declares_a_type_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read("xml", "/a", body)


@pytest.mark.parametrize(
    ("expression", "body", "value"),
    [
        (r"price=\$?([0-9.]+)", b"OK price=$52.50 id=7", "52.50"),
        (r"(?i)^(ok|accepted)", b"Ok, thanks", "Ok"),
        (r"id=(\w+)", b"no such thing", None),
        (r"id=(\w*)", b"id= ", None),
        (r"(a+)+$", b"a" * 60_000 + b"b", None),
        (r"name=(\S+)", "name=Müller".encode(), "Müller"),
        (r"name=(\S+)", b"name=M\xfcller", "M\ufffdller"),
    ],
)
def test_a_regular_expression_finds_its_group_in_text(
    expression: str, body: bytes, value: object
) -> None:
    assert read("text", expression, body) == value


def test_entities_that_multiply_are_refused_early() -> None:
    entities = "".join(f'<!ENTITY x{i} "{f"&x{i - 1};" * 10}">' for i in range(1, 12))
    body = f'<!DOCTYPE a [<!ENTITY x0 "lol">{entities}]><a b="&x11;">&x11;</a>'.encode()

    with pytest.raises(MalformedAnswerError):
        read("xml", "/a", body)


def test_expressions_that_do_not_compile_are_faults() -> None:
    for compile_, expression in [
        (compile_jmespath, "a["),
        (compile_jmespath, ""),
        (compile_xpath, "//["),
        (compile_regex, "(a"),
        (compile_regex, r"(a)\1"),
    ]:
        with pytest.raises(ExpressionFaultError):
            compile_(expression)
