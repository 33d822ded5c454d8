"""Reading and writing marketplace files: YAML whose plain words mean what they look like, or JSON.

Only ``true``, ``false``, ``null``, ``~`` and numbers as JSON writes them are anything but text:
``NO`` is Norway, ``00000`` a zip code, ``+18005550100`` a phone number, ``12:30`` a time,
``2026-12-25`` a date. Numbers with a fraction are Decimals, never floats. Keys are always text.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NoReturn

import yaml

from config.faults import ConfigError, Fault

MAXIMUM_BYTES = 64 * 1024 * 1024
MAXIMUM_DEPTH = 64
MAXIMUM_ALIASED = 1_000_000
"""How many values aliases may stand for altogether."""

_MAXIMUM_FAULTS = 100
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, bool | None] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}
_STANDARD = "tag:yaml.org,2002:"
_TEXT_TAG = _STANDARD + "str"


def decode(content: bytes) -> str:
    """The text of a file. Raises ConfigError when it is too large or not UTF-8."""
    if len(content) > MAXIMUM_BYTES:
        raise ConfigError([Fault((), f"is larger than {MAXIMUM_BYTES // 2**20} MiB")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([Fault((), f"is not UTF-8 text (byte {error.start + 1})")]) from None


def load_yaml(text: str) -> object:
    """The plain data of one YAML document. Raises ConfigError with every fault."""
    builder = _Builder(text)
    try:
        data = builder.document()
    except _RefusedError:
        raise ConfigError(builder.faults) from None
    except yaml.YAMLError as error:
        raise ConfigError([*builder.faults, _syntax_fault(error)]) from None
    if builder.faults:
        raise ConfigError(builder.faults)
    return data


def dump_yaml(data: object) -> str:
    """Plain data as YAML in block style, keys in their order; ``load_yaml`` reads the same."""
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=110,
    )


def _syntax_fault(error: yaml.YAMLError) -> Fault:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        told = ", ".join(part for part in (error.context, error.problem) if part)
        return Fault((), f"is not YAML: {told}", line=mark.line + 1 if mark else None)
    return Fault((), "is not YAML: it has a character that is not allowed")


def events_of(text: str) -> Iterator[yaml.Event]:
    """The parser's events, in less time than by ``yaml.parse``. Raises YAMLError on the way."""
    return iter(yaml.CSafeLoader(text).get_event, None)


def line_of(event: yaml.Event) -> int | None:
    """The line on which an event of the parser starts, from 1."""
    return event.start_mark.line + 1 if event.start_mark else None


class _RefusedError(Exception):
    """Reading can't go on; the fault is noted already."""


class _Builder:
    """Builds data straight from the parser's events: five times as fast as PyYAML's constructor."""

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self._events = events_of(text)
        self._anchors: dict[str, tuple[object, int]] = {}
        self._nodes = 0
        self._aliased = 0

    def document(self) -> object:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            self._refuse("is empty", None)
        data = self._node(next(self._events), 0)
        next(self._events)
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            self._refuse("has more than one document", following)
        return data

    def _node(self, event: yaml.Event, depth: int) -> object:
        self._nodes += 1
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            return value
        if isinstance(event, yaml.CollectionStartEvent):
            return self._collection(event, depth)
        return self._alias(event)

    def _collection(self, event: yaml.CollectionStartEvent, depth: int) -> object:
        if depth >= MAXIMUM_DEPTH:
            self._refuse(f"is nested more than {MAXIMUM_DEPTH} levels deep", event)
        before = self._nodes + self._aliased
        mapping = isinstance(event, yaml.MappingStartEvent)
        kind = "map" if mapping else "seq"
        if event.tag not in {None, "!", _STANDARD + kind}:
            self._note("has a tag that is not allowed", event)
        value = self._mapping(depth) if mapping else self._sequence(depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._nodes + self._aliased - before + 1)
        return value

    def _mapping(self, depth: int) -> dict[str, object]:
        result: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            if key in result:
                self._note(f"`{key[:100]}` stands twice in one mapping", event)
            result[key] = self._node(next(self._events), depth + 1)
        return result

    def _sequence(self, depth: int) -> list[object]:
        result = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            result.append(self._node(event, depth + 1))
        return result

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse("has a key that is not text", event)
        if event.value == "<<" and event.implicit[0]:
            self._note("merge keys (<<) are not read: write the keys out", event)
        return event.value

    def _alias(self, event: yaml.Event) -> object:
        anchor = event.anchor if isinstance(event, yaml.AliasEvent) else None
        if anchor is None or anchor not in self._anchors:
            self._refuse("has an alias without its anchor before it", event)
        value, weight = self._anchors[anchor]
        self._aliased += weight
        if self._aliased > MAXIMUM_ALIASED:
            self._refuse("has aliases that stand for too many values", event)
        return value

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text = event.value
        if event.tag is None:
            return self._resolved(text, event) if event.implicit[0] else text
        if event.tag in {"!", _TEXT_TAG}:
            return text
        value = self._resolved(text, event)
        if event.tag != _STANDARD + _kind(value):
            self._note("has a tag that is not allowed or does not fit", event)
        return value

    def _resolved(self, text: str, event: yaml.ScalarEvent) -> object:
        if text in _WORDS:
            return _WORDS[text]
        number = _NUMBER.fullmatch(text)
        if number is None:
            return text
        if len(text) > 100:
            self._note("has a number of more than 100 characters", event)
            return None
        return int(text) if number[1] is None and number[2] is None else Decimal(text)

    def _note(self, message: str, event: yaml.Event | None) -> None:
        line = line_of(event) if event else None
        self.faults.append(Fault((), message, line=line))
        if len(self.faults) >= _MAXIMUM_FAULTS:
            raise _RefusedError

    def _refuse(self, message: str, event: yaml.Event | None) -> NoReturn:
        self._note(message, event)
        raise _RefusedError


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "bool", int: "int", Decimal: "float", str: "str"}
    return names[type(value)]


class _Dumper(yaml.CSafeDumper):
    """Quotes whatever this reader or a YAML 1.1 reader would not take for text."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


_Dumper.add_implicit_resolver(
    _STANDARD + "float", re.compile(rf"(?:{_NUMBER.pattern})\Z"), list("-0123456789")
)
