"""A request as a simulated buyer sees it."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import orjson
from lxml import etree


@dataclass(slots=True)
class Request:
    """One HTTP request, whole. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def value_at(self, path: str) -> str | None:
        """The text at a dotted path in the body (JSON, XML, form), else in the query."""
        found = _value_in_body(self.body, path)
        return found if found is not None else dict(parse_qsl(self.query)).get(path)


def _value_in_body(body: bytes, path: str) -> str | None:
    start = body.lstrip()[:1]
    if start == b"{":
        return _value_in_json(body, path)
    if start == b"<":
        return _value_in_xml(body, path)
    return dict(parse_qsl(body.decode("latin-1"))).get(path)


def _value_in_json(body: bytes, path: str) -> str | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return None if value is None else str(value)


def _value_in_xml(body: bytes, path: str) -> str | None:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        found = etree.fromstring(body, parser).findtext(path.replace(".", "/"))
    except (etree.XMLSyntaxError, SyntaxError):
        return None
    return None if found is None else str(found)
