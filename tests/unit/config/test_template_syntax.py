"""The language of request templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auction.domain.dates import date_format
from config.template_syntax import Literal, Template, TemplateError, Token, parse_template
from config.transforms import Bool, Date, Default, Lower, Map, Truncate, Upper


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain", (Literal("plain"),)),
        ("{{ offer }}", (Token("offer"),)),
        ("{{offer}}", (Token("offer"),)),
        ("a{{ bid }}b", (Literal("a"), Token("bid"), Literal("b"))),
        ("{{ fields.zip-code.x }}", (Token("fields.zip-code.x"),)),
        (
            "{{ fields.zip_code | default: 00000 }}",
            (Token("fields.zip_code", (Default("00000"),)),),
        ),
        ("{{ source | default: }}", (Token("source", (Default(""),)),)),
        ("{{ source | default: two words }}", (Token("source", (Default("two words"),)),)),
        ('{{ source | default: " a | b }} " }}', (Token("source", (Default(" a | b }} "),)),)),
        (r'{{ source | default: "a\"b" }}', (Token("source", (Default('a"b'),)),)),
        (
            "{{ fields.g | map: {M: Male, F: Female} }}",
            (Token("fields.g", (Map({"M": "Male", "F": "Female"}),)),),
        ),
        ("{{ fields.g | map: {a: b}}}", (Token("fields.g", (Map({"a": "b"}),)),)),
        ("{{ fields.g | map: {} }}", (Token("fields.g", (Map({}),)),)),
        ("{{ fields.g | map: {'a, b': 'c: d'} }}", (Token("fields.g", (Map({"a, b": "c: d"}),)),)),
        (
            "{{ fields.g | default: M | map: {M: Male} }}",
            (Token("fields.g", (Default("M"), Map({"M": "Male"}))),),
        ),
        (
            "{{ fields.g | map: {M: Male} | default: x }}",
            (Token("fields.g", (Map({"M": "Male"}), Default("x"))),),
        ),
        ("{{ offer | upper }}", (Token("offer", (Upper(),)),)),
        ("{{ offer | truncate: 20 | lower }}", (Token("offer", (Truncate(20), Lower())),)),
        ('{{ fields.g | bool: "Y","N" }}', (Token("fields.g", (Bool("Y", "N"),)),)),
        ("{{ fields.g | bool: Y, N }}", (Token("fields.g", (Bool("Y", "N"),)),)),
        ("{{ fields.g | bool }}", (Token("fields.g", (Bool(),)),)),
        (
            '{{ fields.d | date: "%m/%d/%Y", "%d.%m.%Y" }}',
            (Token("fields.d", (Date(date_format("%m/%d/%Y"), date_format("%d.%m.%Y")),)),),
        ),
        ('{"a":{"b":1}}', (Literal('{"a":{"b":1}}'),)),
    ],
)
def test_a_template_is_read(text: str, parts: tuple[Literal | Token, ...]) -> None:
    assert parse_template(text) == Template(parts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ offer", "at character 1 has no matching `}}`"),
        ("ab{{ offer }", "at character 3 has no matching `}}`"),
        ("{{ }}", "the name of a token"),
        ("{{ offer name }}", "expected `|` or `}}`"),
        ("{{ zip }}", "unknown token `zip`"),
        ("{{ fields. }}", "unknown token `fields.`"),
        ("{{ offer | shout }}", "unknown step `shout`"),
        ("{{ offer | upper: x }}", "`upper` takes no argument"),
        ("{{ offer | upper | upper }}", "`upper` twice"),
        ("{{ offer | truncate }}", "`truncate` takes 1 argument"),
        ("{{ offer | truncate: 0 }}", "`truncate` takes a length from 1"),
        ("{{ offer | truncate: x }}", "`truncate` takes a length from 1"),
        ("{{ offer | bool: Y }}", "two words"),
        ("{{ offer | date }}", "`date` takes 1 to 2 arguments"),
        ('{{ offer | date: "%H" }}', "`%H` is not known"),
        ("{{ offer | date: a, b, c, d, e, f }}", "too many arguments"),
        ("{{ offer | default x }}", "expected `:`"),
        ("{{ offer | default: a | default: b }}", "`default` twice"),
        ("{{ offer | map: {a: b} | map: {a: b} }}", "`map` twice"),
        ("{{ offer | map: a }}", "expected `{`"),
        ("{{ offer | map: {a} }}", "expected `:`"),
        ("{{ offer | map: {a: b, a: c} }}", "`a` twice"),
        ("{{ offer | map: {a: b }}", "matching|expected"),
        ("{{ offer | default: x", "no matching"),
    ],
)
def test_a_broken_template_tells_why(text: str, words: str) -> None:
    with pytest.raises(TemplateError) as raised:
        parse_template(text)
    assert any(word in str(raised.value) for word in words.split("|")) or words in str(raised.value)


def test_only_a_token_alone_is_a_single_token() -> None:
    assert parse_template("{{ bid }}").single_token == Token("bid")
    assert parse_template(" {{ bid }}").single_token is None
    assert parse_template("{{ bid }}{{ bid }}").single_token is None
    assert parse_template("bid").single_token is None
    assert parse_template("").single_token is None


def test_a_token_knows_its_field() -> None:
    assert Token("fields.zip").field == "zip"
    assert Token("bid").field is None


@pytest.mark.parametrize(
    ("template", "value", "result"),
    [
        ("{{ fields.g }}", 5, 5),
        ("{{ fields.g }}", None, None),
        ("{{ fields.g }}", "", None),
        ("{{ fields.g | default: 00000 }}", None, "00000"),
        ("{{ fields.g | default: 00000 }}", "", "00000"),
        ("{{ fields.g | default: 00000 }}", 0, 0),
        ("{{ fields.g | default: 00000 }}", False, False),
        ("{{ fields.g | map: {M: Male, 1: One, true: Yes} }}", "M", "Male"),
        ("{{ fields.g | map: {M: Male, 1: One, true: Yes} }}", 1, "One"),
        ("{{ fields.g | map: {M: Male, 1: One, true: Yes} }}", True, "Yes"),
        ("{{ fields.g | map: {M: Male} }}", "X", None),
        ("{{ fields.g | map: {M: Male} }}", None, None),
        ("{{ fields.g | default: M | map: {M: Male} }}", None, "Male"),
        ("{{ fields.g | default: M | map: {M: Male} }}", "X", None),
        ("{{ fields.g | map: {M: Male} | default: other }}", "X", "other"),
        ("{{ fields.g | map: {M: Male} | default: other }}", None, "other"),
        ("{{ fields.g | map: {M: Male} | default: other }}", "M", "Male"),
    ],
)
def test_default_and_map_apply_in_the_order_written(
    template: str, value: object, result: object
) -> None:
    token = parse_template(template).single_token
    assert token is not None
    assert token.apply(value) == result


def test_any_token_may_be_allowed() -> None:
    assert parse_template("{{ event }}", any_token=True).single_token == Token("event")


@given(st.text(alphabet='{}|:, "\\ab\n', max_size=40))
def test_no_text_does_anything_but_parse_or_tell_a_fault(text: str) -> None:
    try:
        template = parse_template("{{ offer " + text)
    except TemplateError:
        return
    assert template.parts
