"""Whether a command's output is what a page shows, apart from what varies from run to run.

Times of day, durations (keys and columns in ``ms``), and identifiers that are made at random may be
any other of their kind. ``…`` on a page stands for whatever is there. Everything else is compared.
"""

import json
import re
from collections.abc import Collection, Mapping
from itertools import zip_longest

MORE = "…"

_MOMENT = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d:\d\d))?"
_VARYING = (
    (re.compile(_MOMENT), "<time>"),
    (re.compile(r"\b(tok|chg)_[0-9a-f]{6,}"), r"\1_<id>"),
    (re.compile(r"\bpp_[A-Za-z0-9_-]{8,}"), "pp_<token>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s)\b"), "<duration>"),
    (re.compile(r"[─━═-]{3,}"), "<rule>"),
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"-?[\d,]+(\.\d+)?%?")


def differences_of_json(shown: str, seen: str, varies: Collection[str] = ()) -> list[str]:
    """How a JSON answer differs from the one that a page shows; ``varies`` are further keys."""
    try:
        wanted = json.loads(shown)
    except ValueError as error:
        return [f"the page shows no JSON: {error}"]
    try:
        got = json.loads(seen)
    except ValueError as error:
        return [f"the output is no JSON ({error}): {seen[:2000]!r}"]
    return _different("", wanted, got, frozenset(varies))


def _different(path: str, wanted: object, got: object, varies: frozenset[str]) -> list[str]:
    if wanted == MORE:
        return []
    if isinstance(wanted, dict) and isinstance(got, dict):
        return _different_objects(path, wanted, got, varies)
    if isinstance(wanted, list) and isinstance(got, list):
        return _different_lists(path, wanted, got, varies)
    key = path.rpartition(".")[2].partition("[")[0]
    if key in varies or key == "ms" or key.endswith("_ms"):
        same = _kind(wanted) == _kind(got)
    elif isinstance(wanted, str) and isinstance(got, str):
        same = plain(wanted) == plain(got) or (
            wanted.endswith(MORE) and got.startswith(wanted[:-1])
        )
    else:
        same = wanted == got and _kind(wanted) == _kind(got)
    return [] if same else [f"{path or 'the answer'}: the page shows {wanted!r}, seen {got!r}"]


def _different_objects(
    path: str, wanted: Mapping[str, object], got: Mapping[str, object], varies: frozenset[str]
) -> list[str]:
    named = [key for key in wanted if key != MORE]
    found = [f"{path}.{key}: is not in the answer" for key in named if key not in got]
    if MORE not in wanted:
        found += [f"{path}.{key}: is not on the page" for key in got if key not in wanted]
    for key in named:
        if key in got:
            found += _different(f"{path}.{key}", wanted[key], got[key], varies)
    return found


def _different_lists(
    path: str, wanted: list[object], got: list[object], varies: frozenset[str]
) -> list[str]:
    more = wanted[-1:] == [MORE]
    shown = wanted[:-1] if more else wanted
    if len(got) < len(shown) or (len(got) > len(shown) and not more):
        return [f"{path}: the page shows {len(shown)} entries, seen {len(got)}: {got!r}"]
    pairs = enumerate(zip(shown, got, strict=False))
    return [
        each
        for index, (one, other) in pairs
        for each in _different(f"{path}[{index}]", one, other, varies)
    ]


def _kind(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def differences_of_text(shown: str, seen: str, varies: Collection[str] = ()) -> list[str]:
    """How lines differ from those that a page shows; ``varies`` are words that may be others.

    A line ``…`` stands for any lines, ``…`` at a line's end for the rest of it.
    """
    wanted, got = shown.splitlines(), [line for line in seen.splitlines() if line.strip()]
    wanted = [line for line in wanted if line.strip()]
    found: list[str] = []
    while wanted:
        line = wanted.pop(0)
        if line.strip() == MORE:
            got = _from_first(wanted, got, varies)
        elif not got or not _same_line(line, got[0], varies):
            return [*found, f"the page shows {line!r}, seen {got[0] if got else 'nothing'!r}"]
        else:
            got.pop(0)
    return [f"seen and not on the page: {got[0]!r}"] if got else []


def _from_first(wanted: list[str], got: list[str], varies: Collection[str]) -> list[str]:
    """What was printed from the line on that the page shows next; nothing where it is its end."""
    if not wanted:
        return []
    at = (index for index, line in enumerate(got) if _same_line(wanted[0], line, varies))
    return got[next(at, len(got)) :]


def _same_line(shown: str, seen: str, varies: Collection[str]) -> bool:
    for one, other in zip_longest(plain(shown).split(), plain(seen).split()):
        if one is not None and one.endswith(MORE):
            return other is None or other.startswith(one[:-1])
        if one == other:
            continue
        if one not in varies or other is None:
            return False
        if _NUMBER.fullmatch(one) and not _NUMBER.fullmatch(other):
            return False
    return True


def plain(text: str) -> str:
    """The text with one word for everything that varies."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return _DAY.sub("<day>", text)
