"""What a subscriber's request says, in each format, by default and by template."""

from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from auction.webhooks.bodies import Told, compile_render
from tests.builders import NOON

CDR = {
    "call_id": "c-1",
    "campaign": "auto",
    "connected_duration_s": 61,
    "price": "52.00",
    "converted": True,
    "payout": None,
    "attempts": [{"attempt": 1, "offer": "acme-auto"}],
}


def an_event(**changes: Any) -> Told:
    values: dict[str, Any] = {
        "event": "call.ended",
        "event_id": "e1",
        "at": NOON,
        "cdr": CDR,
        "fields": {"zip_code": "90210", "age": 41, "note": 'a "b" & <c>\r\nX: y'},
        "data": {"attempt": 1, "reason": None},
        **changes,
    }
    return Told(**values)


def rendered(format_: str, body: Any, *events: Told, batched: bool = False) -> bytes:
    return compile_render(format_, body, batched=batched)(events or [an_event()])


def test_the_default_body_is_the_contracts() -> None:
    assert orjson.loads(rendered("json", None)) == {
        "event": "call.ended",
        "event_id": "e1",
        "at": "2026-11-20T17:00:00.000Z",
        "call": CDR,
        "data": {"attempt": 1, "reason": None},
    }


def test_a_batch_holds_its_events_in_order() -> None:
    body = rendered("json", None, an_event(), an_event(event_id="e2"), batched=True)
    assert [each["event_id"] for each in orjson.loads(body)["events"]] == ["e1", "e2"]


def test_a_batch_of_one_is_still_a_batch() -> None:
    assert list(orjson.loads(rendered("json", None, batched=True))) == ["events"]


TEMPLATE = {
    "id": "{{ event_id }}",
    "what": "{{ event }} at {{ at }}",
    "zip": "{{ fields.zip_code }}",
    "age": "{{ fields.age }}",
    "money": "{{ price }}",
    "sold": "{{ converted }}",
    "none": "{{ payout }}",
    "missing": "{{ fields.unknown | default: 00000 }}",
    "mapped": "{{ event | map: {call.ended: over} }}",
    "data": ["{{ data.attempt }}", "{{ data.reason }}", 7],
    "note": "said: {{ fields.note }}",
}
FILLED = {
    "id": "e1",
    "what": "call.ended at 2026-11-20T17:00:00.000Z",
    "zip": "90210",
    "age": 41,
    "money": "52.00",
    "sold": True,
    "none": None,
    "missing": "00000",
    "mapped": "over",
    "data": [1, None, 7],
    "note": 'said: a "b" & <c>\r\nX: y',
}


def test_a_json_template_is_filled_and_a_token_alone_keeps_its_type() -> None:
    assert orjson.loads(rendered("json", TEMPLATE)) == FILLED


def test_json_that_is_written_as_text_is_filled_alike() -> None:
    text = orjson.dumps(TEMPLATE).decode()
    assert orjson.loads(rendered("json", text)) == FILLED


def test_a_token_outside_of_quotes_and_one_beside_text_in_json_text() -> None:
    text = '{"a": {{ connected_duration_s }}, "b\\"": "x{{ fields.note }}{{ fields.age }}"}'
    filled = {"a": 61, 'b"': 'xa "b" & <c>\r\nX: y41'}
    assert orjson.loads(rendered("json", text)) == filled


def test_a_body_that_is_one_token_is_its_value() -> None:
    assert rendered("json", "{{ connected_duration_s }}") == b"61"


def test_templates_are_joined_into_a_batch() -> None:
    events = [an_event(), an_event(event_id="e2")]
    assert rendered("json", {"id": "{{ event_id }}"}, *events, batched=True) == (
        b'{"events":[{"id":"e1"},{"id":"e2"}]}'
    )
    document = '<?xml version="1.0"?>\n<e id="{{ event_id }}"/>'
    assert rendered("xml", document, *events, batched=True) == (
        b'<events><e id="e1"/><e id="e2"/></events>'
    )


def test_a_form_is_flat_by_default() -> None:
    body = rendered("form", None).decode()
    assert body.startswith(
        "event=call.ended&event_id=e1&at=2026-11-20T17%3A00%3A00.000Z&call_id=c-1"
    )
    assert "&converted=true&" in body
    assert "&payout=&" in body
    assert body.endswith("&data.attempt=1&data.reason=")
    assert "zip_code" not in body
    assert "attempts" not in body


def test_a_form_template_escapes_its_values() -> None:
    body: Any = {"n": "{{ fields.note }}", "list": ["{{ fields.age }}", 2], "x y": "a b"}
    assert rendered("form", body) == (b"n=a+%22b%22+%26+%3Cc%3E%0D%0AX%3A+y&list=41&list=2&x+y=a+b")
    assert rendered("form", "id={{ event_id }}&n={{ fields.note }}").startswith(b"id=e1&n=a+%22")


def test_xml_by_default_and_by_template() -> None:
    root = ElementTree.fromstring(rendered("xml", None))
    assert root.findtext("event") == "call.ended"
    assert root.findtext("call/price") == "52.00"
    assert root.findtext("call/attempts/attempt/offer") == "acme-auto"
    assert root.findtext("data/attempt") == "1"
    filled = ElementTree.fromstring(rendered("xml", "<n>{{ fields.note }}</n>"))
    assert (filled.text or "").startswith('a "b" & <c>')


@pytest.mark.parametrize("format_", ["form", "xml"])
def test_a_body_of_the_wrong_shape_is_refused(format_: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        compile_render(format_, ["x"], batched=False)
