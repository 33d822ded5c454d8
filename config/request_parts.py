"""Headers, query and body of a request template: their bounds, checked entry by entry."""

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, JsonValue, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from config.credentials import SentValue, secret_of
from config.faults import Step, mistake, mistakes
from config.template_syntax import TemplateError, parse_template
from config.values import MAXIMUM_TEMPLATE

MAXIMUM_DEPTH = 16
MAXIMUM_BODY_NODES = 2_000

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z\-]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
Found = list[tuple[Sequence[Step], str]]


def header_fault(name: str) -> str | None:
    """Why a header of this name can't be sent, None when it can."""
    if not _HEADER_NAME.fullmatch(name):
        return "is not a header's name"
    if name.lower() in _OWN_HEADERS:
        return "is a header of the connection itself and can't be set"
    return None


def _read_headers(value: object, *, any_token: bool = False) -> dict[str, SentValue]:
    entries = _entries(value, 64)
    found: Found = []
    seen: set[str] = set()
    headers: dict[str, SentValue] = {}
    for name, content in entries.items():
        wrong = header_fault(name) or ("is given twice" if name.lower() in seen else None)
        seen.add(name.lower())
        headers[name] = _sent_value(name, content, wrong, found, any_token=any_token)
    if found:
        raise mistakes(found)
    return headers


def _read_query(value: object) -> dict[str, SentValue]:
    entries = _entries(value, 256)
    found: Found = []
    query = {
        name: _sent_value(name, content, _fault_of_name(name), found, any_token=False)
        for name, content in entries.items()
    }
    if found:
        raise mistakes(found)
    return query


def _read_mapping(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    found: Found = []
    mapping = {
        name: _template_entry(name, content, _fault_of_name(name), found, any_token=False)
        for name, content in _entries(value, 256).items()
    }
    if found:
        raise mistakes(found)
    return mapping


def _fault_of_name(name: str) -> str | None:
    if _CONTROL.search(name) or "{{" in name:
        return "must not contain control characters or tokens"
    return None if 0 < len(name) <= 256 else "must have 1 to 256 characters"


def _entries(value: object, maximum: int) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise mistake("must be a mapping of names to texts")
    if len(value) > maximum:
        raise mistake(f"has more than {maximum} entries")
    return dict(value)


def _sent_value(
    name: str, content: object, wrong: str | None, found: Found, *, any_token: bool
) -> SentValue:
    try:
        secret = secret_of(name, content)
    except PydanticCustomError as error:
        below = (error.context or {})["found"]
        found.extend(([name, *steps], message) for steps, message in below)
        return ""
    if secret is None:
        return _template_entry(name, content, wrong, found, any_token=any_token)
    if wrong:
        found.append(([name], wrong))
    return secret


def _template_entry(
    name: str, content: object, wrong: str | None, found: Found, *, any_token: bool
) -> str:
    text = _as_text(content)
    if wrong:
        found.append(([name], wrong))
    elif text is None:
        found.append(([name], "must be text"))
    elif len(text) > 4096:
        found.append(([name], "must have at most 4096 characters"))
    elif _CONTROL.search(text):
        found.append(([name], "must not contain control characters"))
    else:
        _check_template(text, [name], found, any_token=any_token)
    return text or ""


def _as_text(content: object) -> str | None:
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, int | Decimal):
        return str(content)
    return content if isinstance(content, str) else None


def _check_template(text: str, steps: Sequence[Step], found: Found, *, any_token: bool) -> None:
    try:
        parse_template(text, any_token=any_token)
    except TemplateError as error:
        found.append((steps, str(error)))


def _read_body(value: object, *, any_token: bool = False) -> JsonValue:
    reader = _BodyReader(any_token=any_token)
    body = reader.read(value, ())
    if reader.found:
        raise mistakes(reader.found)
    return body


class _BodyReader:
    """Copies a body template, collecting what is wrong with it."""

    def __init__(self, *, any_token: bool) -> None:
        self.any_token = any_token
        self.found: Found = []
        self.nodes = 0
        self.characters = 0

    def read(self, value: object, steps: tuple[Step, ...]) -> JsonValue:
        self.nodes += 1
        if self.nodes > MAXIMUM_BODY_NODES or len(steps) > MAXIMUM_DEPTH:
            self._note_size(steps)
            return None
        if isinstance(value, str):
            return self._text(value, steps)
        if isinstance(value, Mapping):
            return {self._key(k, steps): self.read(v, (*steps, str(k))) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.read(item, (*steps, index)) for index, item in enumerate(value)]
        return self._scalar(value, steps)

    def _note_size(self, steps: tuple[Step, ...]) -> None:
        if self.nodes == MAXIMUM_BODY_NODES + 1:
            self.found.append(((), f"has more than {MAXIMUM_BODY_NODES} values"))
        if len(steps) > MAXIMUM_DEPTH:
            self.found.append((steps, f"is nested more than {MAXIMUM_DEPTH} levels deep"))

    def _text(self, text: str, steps: tuple[Step, ...]) -> str:
        before = self.characters
        self.characters += len(text)
        if self.characters <= MAXIMUM_TEMPLATE:
            _check_template(text, steps, self.found, any_token=self.any_token)
        elif before <= MAXIMUM_TEMPLATE:
            self.found.append(((), f"has more than {MAXIMUM_TEMPLATE} characters"))
        return text

    def _key(self, key: object, steps: tuple[Step, ...]) -> str:
        if not isinstance(key, str) or not 0 < len(key) <= 256:
            self.found.append((steps, "has a key that is not a text of 1 to 256 characters"))
        elif "{{" in key or _CONTROL.search(key):
            self.found.append(
                ((*steps, key), "a key must not contain tokens or control characters")
            )
        return str(key)

    def _scalar(self, value: object, steps: tuple[Step, ...]) -> JsonValue:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < 2**53:
            return value
        if isinstance(value, float | Decimal) and _prints_alike(value):
            return float(value)
        self.found.append((steps, "can't be sent exactly: write it as text in quotes"))
        return None


def _prints_alike(value: float | Decimal) -> bool:
    return math.isfinite(value) and Decimal(repr(float(value))) == Decimal(str(value))


def _headers(value: object, _: ValidatorFunctionWrapHandler) -> dict[str, SentValue]:
    return _read_headers(value)


def _any_headers(value: object, _: ValidatorFunctionWrapHandler) -> dict[str, SentValue]:
    return _read_headers(value, any_token=True)


def _query(value: object, _: ValidatorFunctionWrapHandler) -> dict[str, SentValue]:
    return _read_query(value)


# Wrapped without asking what is inside: of a union the wrong side could take a value.
Headers = Annotated[dict[str, SentValue], WrapValidator(_headers)]
Query = Annotated[dict[str, SentValue], WrapValidator(_query)]
FieldMapping = Annotated[dict[str, str] | None, BeforeValidator(_read_mapping)]
"""A buyer's names of fields and the template of each; None: all fields go as they came."""
Body = Annotated[JsonValue, BeforeValidator(_read_body)]
"""Any JSON value whose texts are templates. A float in it prints as the operator wrote it."""

AnyHeaders = Annotated[dict[str, SentValue], WrapValidator(_any_headers)]
AnyBody = Annotated[JsonValue, BeforeValidator(partial(_read_body, any_token=True))]
"""Templates of webhooks: their tokens are not those of a buyer's requests."""
