"""The named SQL of storage/sql/queries, read once."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_HEADER = re.compile(r"^-- name: *(\S+) *$", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: *(\S+) *$", re.MULTILINE)


def query(name: str) -> str:
    """The text of a named query, to be asked for on import. Raises KeyError for an unknown name."""
    return _all_queries()[name]


def parse_queries(text: str) -> dict[str, str]:
    """Split a text at its ``-- name: x`` headers.

    A line ``-- include: y`` stands for the text of the named part ``y`` of the same file. Raises
    ValueError for a name given twice and for a part that is not there.
    """
    head, *parts = _HEADER.split(text)
    if any(line and not line.startswith("--") for line in map(str.strip, head.splitlines())):
        message = "SQL before the first '-- name:' header"
        raise ValueError(message)
    found = _without_repeats(
        (name, body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)
    )
    return {name: _included(body, found) for name, body in found.items()}


def _included(body: str, parts: Mapping[str, str]) -> str:
    for name in _INCLUDE.findall(body):
        if name not in parts:
            message = f"there is no part {name!r} to include"
            raise ValueError(message)
    return _INCLUDE.sub(lambda line: parts[line[1]], body)


@cache
def _all_queries() -> Mapping[str, str]:
    folder = files("storage") / "sql" / "queries"
    named = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    texts = (parse_queries(file.read_text("utf-8")) for _, file in named)
    return MappingProxyType(_without_repeats(pair for text in texts for pair in text.items()))


def _without_repeats(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    queries: dict[str, str] = {}
    for name, text in pairs:
        if name in queries:
            message = f"query {name!r} is defined twice"
            raise ValueError(message)
        queries[name] = text
    return queries
