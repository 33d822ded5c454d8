"""Answer templates in each format."""

from collections.abc import Mapping

import orjson
import pytest
from pydantic import JsonValue

from buyers.simulator.behaviour import Bare
from buyers.simulator.templates import Format, compile_body


def rendered(
    kind: Format,
    template: JsonValue,
    values: Mapping[str, object] | None = None,
    *,
    as_number: bool = False,
    amount: str = "52.00",
) -> bytes:
    body = compile_body(kind, template, values or {}, amount_as_number=as_number)
    return body.render(amount, "acme-7")


def test_a_json_value_that_is_one_token_keeps_its_type() -> None:
    template: JsonValue = {"a": "{{ amount }}", "ttl": "{{expires_in_s}}", "n": [1, "{{ bid_id }}"]}
    assert orjson.loads(rendered("json", template, {"expires_in_s": 30})) == {
        "a": "52.00",
        "ttl": 30,
        "n": [1, "acme-7"],
    }
    assert rendered("json", {"a": "{{ amount }}"}, as_number=True) == b'{"a":52.00}'


def test_a_token_inside_a_text_becomes_text() -> None:
    template = "{{ bid_id }}{{ amount }} until {{ expires_in_s }}!"
    assert (
        rendered("json", template, {"expires_in_s": 30}, as_number=True)
        == b'"acme-752.00 until 30!"'
    )


def test_a_key_without_a_value_is_left_out() -> None:
    template: JsonValue = {"a": {"to": "{{ destination }}", "x": 1}, "l": ["{{ reason }}"]}
    assert rendered("json", template, {"destination": None}) == b'{"a":{"x":1},"l":[]}'


def test_a_fixed_amount_replaces_the_drawn_one() -> None:
    template: JsonValue = {"a": "{{ amount }}"}
    assert rendered("json", template, {"amount": "-5.00"}) == b'{"a":"-5.00"}'
    assert rendered("json", template, {"amount": "-5.00"}, as_number=True) == b'{"a":-5.00}'
    assert rendered("json", template, {"amount": Bare("NaN")}) == b'{"a":NaN}'
    assert rendered("json", template, {"amount": None}, as_number=True) == b"{}"


def test_values_are_escaped_for_their_format() -> None:
    reason = 'a "b" <c> & d=e'
    assert orjson.loads(rendered("json", {"r": "{{ reason }}"}, {"reason": reason})) == {
        "r": reason
    }
    assert rendered("xml", "<r>{{ reason }}</r>", {"reason": reason}) == (
        b'<r>a "b" &lt;c&gt; &amp; d=e</r>'
    )
    assert rendered("form", {"r": "{{ reason }}"}, {"reason": reason}) == (
        b"r=a+%22b%22+%3Cc%3E+%26+d%3De"
    )
    assert rendered("text", "R {{ reason }}", {"reason": reason}) == f"R {reason}".encode()


def test_forms_quote_what_is_drawn_and_leave_out_what_is_missing() -> None:
    template: JsonValue = {"p": "{{ amount }}", "ok": True, "n": 3, "to": "{{ destination }}"}
    assert rendered("form", template, amount="$5 0") == b"p=%245+0&ok=true&n=3"


@pytest.mark.parametrize("kind", ["xml", "text"])
def test_a_missing_value_leaves_its_place_empty_in_text(kind: Format) -> None:
    assert rendered(kind, "[{{ destination }}]", {"destination": None}) == b"[]"
