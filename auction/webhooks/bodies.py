"""The body of a webhook's request: one event or a batch, in the subscriber's format."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from auction.domain.call import FieldValue
from auction.webhooks.templates import Fill, Values, compile_body
from buyers.rendering import form_text, json_value, xml_text
from config.template_syntax import FIELD_PREFIX
from config.webhooks import CDR_TOKENS, DATA_PREFIX


@dataclass(frozen=True, slots=True)
class Told:
    """One event as its subscriber is told it: the call's CDR, and the fields that it may see."""

    event: str
    event_id: str
    at: datetime
    cdr: Mapping[str, object] = field(repr=False)
    fields: Mapping[str, FieldValue] = field(repr=False)
    data: Mapping[str, object] = field(repr=False)

    def values(self) -> Values:
        """What the tokens of a template stand for."""
        return {
            **self._itself(),
            **{name: self.cdr.get(name) for name in CDR_TOKENS},
            **{FIELD_PREFIX + name: value for name, value in self.fields.items()},
            **{DATA_PREFIX + name: value for name, value in self.data.items()},
        }

    def document(self) -> dict[str, object]:
        """The default body of the contract; alerts are of no call."""
        call = {"call": dict(self.cdr)} if self.cdr else {}
        return {**self._itself(), **call, "data": dict(self.data)}

    def _itself(self) -> dict[str, object]:
        return {"event": self.event, "event_id": self.event_id, "at": _instant(self.at)}


CONTENT_TYPES: Final = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "xml": "application/xml; charset=utf-8",
}

Render = Callable[[Sequence[Told]], bytes]
"""The body of a request; never called without an event, with several for a batch only."""

_DECLARATION: Final = re.compile(rb"^\s*<\?xml[^>]*\?>\s*")


def compile_render(format_: str, body: JsonValue, *, batched: bool) -> Render:
    """How a webhook's requests are rendered. Raises TemplateError, ValueError."""
    each = _DEFAULTS[format_] if body is None else _templated(compile_body(format_, body))
    if not batched:
        return lambda events: each(events[0])
    join = _JOINED[format_]
    return lambda events: join([each(event) for event in events])


def _templated(fill: Fill) -> Callable[[Told], bytes]:
    return lambda told: fill(told.values())


def _json(told: Told) -> bytes:
    return json_value(told.document())


def _form(told: Told) -> bytes:
    """Flat: the event, the record's values by name, ``data.NAME``; what is missing is empty."""
    shown = {
        name: value for name, value in told.values().items() if not name.startswith(FIELD_PREFIX)
    }
    return b"&".join(form_text(name) + b"=" + form_text(value) for name, value in shown.items())


def _xml(told: Told) -> bytes:
    return b"".join(_element("pingpost", told.document()))


def _element(name: str, value: object) -> Iterator[bytes]:
    yield f"<{name}>".encode()
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _element(str(key), item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _element(name.removesuffix("s"), item)
    else:
        yield xml_text(value)
    yield f"</{name}>".encode()


def _join_json(bodies: Sequence[bytes]) -> bytes:
    return b'{"events":[' + b",".join(bodies) + b"]}"


def _join_xml(bodies: Sequence[bytes]) -> bytes:
    return b"<events>" + b"".join(_DECLARATION.sub(b"", each) for each in bodies) + b"</events>"


_DEFAULTS: Final[Mapping[str, Callable[[Told], bytes]]] = {
    "json": _json,
    "form": _form,
    "xml": _xml,
}
_JOINED: Final[Mapping[str, Callable[[Sequence[bytes]], bytes]]] = {
    "json": _join_json,
    "xml": _join_xml,
}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
