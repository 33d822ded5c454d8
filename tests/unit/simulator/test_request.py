"""Looking up a value to decide by."""

import pytest

from buyers.simulator.request import Request


@pytest.mark.parametrize(
    ("body", "query", "path", "value"),
    [
        (b'{"fields": {"session": "s1"}}', "", "fields.session", "s1"),
        (b' {"n": 7}', "", "n", "7"),
        (b'{"n": null}', "", "n", None),
        (b'{"n": 7}', "", "n.deeper", None),
        (b"{broken", "", "n", None),
        (b"<ping><f><zip>90210</zip></f></ping>", "", "f.zip", "90210"),
        (b"<ping/>", "", "zip", None),
        (b"<ping", "", "zip", None),
        (b"zip=90210&x=1", "", "zip", "90210"),
        (b"", "zip=90%3210", "zip", "90210"),
        (b"{}", "zip=1", "zip", "1"),
        (b"", "", "zip", None),
    ],
)
def test_a_value_is_found_in_body_or_query(
    body: bytes, query: str, path: str, value: str | None
) -> None:
    assert Request("POST", "/ping", query, {}, body).value_at(path) == value


def test_entities_in_xml_are_not_resolved() -> None:
    body = b'<!DOCTYPE p [<!ENTITY e SYSTEM "file:///etc/passwd">]><p><zip>&e;</zip></p>'
    assert not Request("POST", "/ping", "", {}, body).value_at("zip")
