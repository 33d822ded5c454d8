"""Faults in what an operator wrote: collected, placed, told in plain words."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

Step = str | int
"""A mapping's key or a list's index."""

KeysAt = Callable[[Sequence[Step]], Sequence[str]]
"""The keys that the object at a pydantic error's location may have."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
CONFIG_FAULT = "fault"
"""The type of errors that ``mistake`` makes; their messages never repeat what was given."""

MOST_GUESSED = 200
"""For so many faults it is looked for what key was meant: it takes time for each."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake: where, what, and on which line if known. Never holds a secret's value.

    ``steps`` lead there from the top; ``within`` names the nearest object that has an id.
    """

    steps: tuple[Step, ...]
    message: str
    within: str | None = None
    line: int | None = None

    @property
    def path(self) -> str:
        """Where it is, as an operator reads it: ``buyers[0].offers[1].ping_post.ping.url``."""
        return render_path(self.steps)

    def __str__(self) -> str:
        hints = [self.within, f"line {self.line}" if self.line else None]
        told = ", ".join(hint for hint in hints if hint)
        place = self.path or "the whole file"
        return f"{place} ({told}): {self.message}" if told else f"{place}: {self.message}"


class ConfigError(Exception):
    """What an operator wrote can't be used; ``faults`` lists every mistake."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def mistake(message: str, *below: Step) -> PydanticCustomError:
    """An error for a validator to raise; ``below`` leads from its value to the mistake."""
    return mistakes([(below, message)])


def mistakes(found: Sequence[tuple[Sequence[Step], str]]) -> PydanticCustomError:
    """One error that stands for several mistakes below the validated value."""
    context = {"first": found[0][1], "found": list(found)}
    return PydanticCustomError(CONFIG_FAULT, "{first}", context)


def render_path(steps: Iterable[Step]) -> str:
    """A path as an operator reads it: ``offers[1].headers["X Y"].url``."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif not text:
            text = _printable(step)
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}"
        else:
            text += f'["{_printable(step)}"]'
    return text


def no_keys(_: Sequence[Step]) -> Sequence[str]:
    """Suggests nothing for a misspelt key."""
    return ()


def faults_of(error: ValidationError, data: object, keys_at: KeysAt = no_keys) -> list[Fault]:
    """The faults behind a pydantic error about ``data``; no input value is ever repeated."""
    return [
        place(data, steps, message)
        for number, details in enumerate(error.errors(include_url=False, include_input=False))
        for steps, message in _told(details, data, keys_at if number < MOST_GUESSED else no_keys)
    ]


def place(data: object, steps: Sequence[Step], message: str) -> Fault:
    """A fault at ``steps`` in ``data``, with the nearest id on the way."""
    return Fault(tuple(steps), message, _nearest_id(data, steps))


def _told(
    details: ErrorDetails, data: object, keys_at: KeysAt
) -> list[tuple[tuple[Step, ...], str]]:
    steps = _real_steps(details["loc"], data)
    context = details.get("ctx", {})
    if details["type"] == CONFIG_FAULT:
        return [((*steps, *below), message) for below, message in context["found"]]
    return [(steps, _plain_words(details, context, keys_at))]


def _real_steps(location: Sequence[Step], data: object) -> tuple[Step, ...]:
    """The location without the tags of unions that pydantic puts in between."""
    steps: list[Step] = []
    current: object = data
    for position, step in enumerate(location):
        if _has(current, step):
            current = current[step]  # type: ignore[index] # _has has seen that it can be indexed
        elif position < len(location) - 1 or not isinstance(current, Mapping):
            continue
        steps.append(step)
    return tuple(steps)


def _has(value: object, step: Step) -> bool:
    if isinstance(value, list | tuple):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, Mapping) and step in value


def _nearest_id(data: object, steps: Sequence[Step]) -> str | None:
    found: str | None = None
    kind = ""
    current: object = data
    for step in steps:
        if isinstance(current, Mapping):
            kind = str(step).removesuffix("s")
            current = current.get(step)
        elif isinstance(current, list) and isinstance(step, int) and step < len(current):
            current = current[step]
            name = current.get("id") if isinstance(current, Mapping) else None
            if isinstance(name, str) and len(name) <= 64:
                found = f"{kind} {_printable(name)}"
        else:
            break
    return found


def _plain_words(details: ErrorDetails, context: Mapping[str, object], keys_at: KeysAt) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        *owner, key = details["loc"]
        return _unknown_key(str(key), keys_at(owner))
    words = _WORDS.get(kind)
    if words is None:
        return details["msg"]
    return words.format(**context)


def _unknown_key(key: str, known_keys: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known_keys, n=1) if known_keys else ()
    return f"unknown key: did you mean `{close[0]}`?" if close else "unknown key: remove it"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() and c not in "[]" else "?" for c in text[:100])


_WORDS = {
    "missing": "is missing",
    "string_type": "must be text (write it in quotes)",
    "string_pattern_mismatch": "has characters that can't stand there",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "int_type": "must be a whole number (without quotes)",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_long": "has more than {max_length} entries",
    "too_short": "needs at least {min_length} entries",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "union_tag_invalid": "must have a `type` out of {expected_tags}",
    "union_tag_not_found": "needs a `type`",
    "invalid_key": "has a key that is not text",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "path_type": "must be a path",
    "value_error": "{error}",
}
