"""Validation errors in words of our own: pydantic's may repeat what was sent, these never do."""

from collections.abc import Callable, Mapping

from pydantic import ValidationError

from auction.redaction import mask_numbers
from auction.web.problems import Fault
from config.faults import CONFIG_FAULT

_MOST = 50
_LONGEST_NAME = 128

Context = Mapping[str, object]

_WORDS: Mapping[str, Callable[[Context], str]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "is not a known key",
    "string_type": lambda _: "must be a string",
    "string_too_long": lambda c: f"must have at most {c['max_length']} characters",
    "string_too_short": lambda c: f"must have at least {c['min_length']} character",
    "string_pattern_mismatch": lambda _: "must not contain control characters",
    "int_type": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "dict_type": lambda _: "must be an object",
    "model_type": lambda _: "must be an object",
    "list_type": lambda _: "must be a list",
    "float_type": lambda _: "must be a number",
    "finite_number": lambda _: "must be a number",
    "too_short": lambda c: f"must have at least {c['min_length']} entry",
    CONFIG_FAULT: lambda c: str(c["first"]),
    "too_long": lambda c: f"must have at most {c['max_length']} entries",
    "greater_than_equal": lambda c: f"must be at least {c['ge']}",
    "less_than_equal": lambda c: f"must be at most {c['le']}",
    "literal_error": lambda c: f"must be {c['expected']}",
}


def faults_of(error: ValidationError) -> list[Fault]:
    """Every fault with its path (``fields.zip_code``, ``scopes[1]``), none with a value."""
    listed = error.errors(include_url=False, include_input=False)
    return [
        Fault(_path(each["loc"]), _message(each["type"], each.get("ctx", {}), each["msg"]))
        for each in listed[:_MOST]
    ]


OWN = "own"
"""The type of errors whose message was written here (``PydanticCustomError(OWN, message)``)."""


def _message(kind: str, context: Context, message: str) -> str:
    if kind == OWN:
        return message
    words = _WORDS.get(kind)
    return "is not valid" if words is None else words(context)


def _path(location: tuple[int | str, ...]) -> str:
    steps = (_step(part) for part in location if part != "[key]")
    return "".join(steps).removeprefix(".")


def _step(part: int | str) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{readable_name(part)}"


def readable_name(part: str) -> str:
    """A name that somebody sent, cut and without anything that can't be shown."""
    name = mask_numbers(part[:_LONGEST_NAME])
    return name if name.isprintable() else ascii(name)[1:-1]
