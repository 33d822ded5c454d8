"""Request templates: text with tokens such as ``{{ fields.zip_code | default: 00000 }}``.

Only the syntax lives here, so that a file can be checked without anything that talks to buyers.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from config.transforms import KNOWN, AgeFromBirthdate, Default, Map, Step, make_step

FIELD_PREFIX = "fields."
"""A token that starts so names a field of the call; the rest is the field's name as it is."""

TOKEN_NAMES = frozenset(
    {
        "call_id",
        "ping_id",
        "campaign",
        "offer",
        "source",
        "caller_id",
        "caller_area_code",
        "caller_state",
        "dialed_number",
        "minimum_bid",
        "timeout_ms",
        "bid_id",
        "bid",
        "traceparent",
    }
)
"""Every token but the fields of the call."""

POST_ONLY_TOKENS = frozenset({"bid_id", "bid"})
"""Tokens that have no value before a buyer has bid."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,199}")
_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MAXIMUM_PAIRS = 1000
_MAXIMUM_ARGUMENTS = 4


KEPT_TEMPLATES = 512
"""Those that offers share come up all the time. More would, scattered over what a large marketplace
takes while it is read, keep that memory from being given back.
"""


class TemplateError(ValueError):
    """A template is not well formed; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that is sent as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Token:
    """A value of the call to fill in, and the steps it goes through in the order written."""

    name: str
    steps: tuple[Step, ...] = ()

    @property
    def field(self) -> str | None:
        """The field of the call that this token names, None for every other token."""
        return self.name[len(FIELD_PREFIX) :] if self.name.startswith(FIELD_PREFIX) else None

    @property
    def asks_when(self) -> bool:
        """Whether a step of it depends on when the call came."""
        return any(isinstance(step, AgeFromBirthdate) for step in self.steps)

    def apply(self, value: object, at: datetime | None = None) -> object:
        """The value after all steps; None and the empty text are missing, None comes out.

        ``at``: when the call came, where it is known.
        """
        current = None if value == "" else value
        for step in self.steps:
            current = step(current, at)
        return current


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: its literal and token parts in order."""

    parts: tuple[Literal | Token, ...]

    @property
    def single_token(self) -> Token | None:
        """The token of a template that is one token alone (its value keeps its type), else None."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Token) else None

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens in order of appearance."""
        return tuple(part for part in self.parts if isinstance(part, Token))


@lru_cache(maxsize=KEPT_TEMPLATES)
def parse_template(text: str, *, any_token: bool = False) -> Template:
    """Read a template. Raises TemplateError, for unknown tokens too unless ``any_token``."""
    parts: list[Literal | Token] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        if start > at:
            parts.append(Literal(text[at:start]))
        scanner = _Scanner(text, start)
        token = scanner.token()
        if not any_token:
            _check_name(token.name)
        parts.append(token)
        at = scanner.at
    if at < len(text):
        parts.append(Literal(text[at:]))
    return Template(tuple(parts))


class _Scanner:
    """Reads one token; ``at`` is where it stands in the text."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start
        self.at = start + 2

    def token(self) -> Token:
        name = self._name("the name of a token")
        steps: dict[str, Step] = {}
        while not self._took("}}"):
            if not self._took("|"):
                raise self._unclosed()
            step = self._name("the name of a step")
            if step in steps:
                raise TemplateError(f"`{step}` twice")
            steps[step] = self._step(step)
        return Token(name, tuple(steps.values()))

    def _step(self, name: str) -> Step:
        if name == "default":
            self._expect(":", "after `default`")
            return Default(self._literal("|", "}}"))
        if name == "map":
            self._expect(":", "after `map`")
            return Map(self._mapping())
        if name not in KNOWN:
            known = ", ".join(sorted(["default", "map", *KNOWN]))
            raise TemplateError(f"unknown step `{name}`: known are {known}")
        try:
            return make_step(name, self._arguments())
        except ValueError as error:
            raise error if isinstance(error, TemplateError) else TemplateError(str(error)) from None

    def _arguments(self) -> tuple[str, ...]:
        arguments: list[str] = []
        if self._took(":"):
            arguments.append(self._literal(",", "|", "}}"))
            while self._took(","):
                if len(arguments) == _MAXIMUM_ARGUMENTS:
                    raise TemplateError("too many arguments")
                arguments.append(self._literal(",", "|", "}}"))
        return tuple(arguments)

    def _mapping(self) -> dict[str, str]:
        self._expect("{", "after `map:`")
        pairs: dict[str, str] = {}
        while not self._took("}"):
            if pairs:
                self._expect(",", "between the pairs of a map")
            key = self._literal(":", ",", "}")
            self._expect(":", f"after `{key}` in a map")
            if key in pairs:
                raise TemplateError(f"`{key}` twice in a map")
            if len(pairs) == _MAXIMUM_PAIRS:
                raise TemplateError(f"more than {_MAXIMUM_PAIRS} pairs in a map")
            pairs[key] = self._literal(",", "}")
        return pairs

    def _literal(self, *ends: str) -> str:
        self._skip_space()
        quoted = _QUOTED.match(self.text, self.at)
        if quoted:
            self.at = quoted.end()
            self._skip_space()
            inner = quoted[1] if quoted[1] is not None else quoted[2]
            return _ESCAPE.sub(r"\1", inner)
        places = [place for end in ends if (place := self.text.find(end, self.at)) >= 0]
        if not places:
            raise self._unclosed()
        raw = self.text[self.at : min(places)]
        self.at = min(places)
        return raw.strip()

    def _name(self, wanted: str) -> str:
        self._skip_space()
        found = _NAME.match(self.text, self.at)
        if found is None:
            raise TemplateError(f"expected {wanted} at character {self.at + 1}")
        self.at = found.end()
        return found[0]

    def _expect(self, mark: str, where: str) -> None:
        if not self._took(mark):
            raise TemplateError(f"expected `{mark}` {where}")

    def _took(self, mark: str) -> bool:
        self._skip_space()
        found = self.text.startswith(mark, self.at)
        if found:
            self.at += len(mark)
        return found

    def _skip_space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        if found:
            self.at = found.end()

    def _unclosed(self) -> TemplateError:
        if self.text.find("}}", self.at) >= 0:
            return TemplateError(f"expected `|` or `}}}}` at character {self.at + 1}")
        return TemplateError(f"`{{{{` at character {self.start + 1} has no matching `}}}}`")


def _check_name(name: str) -> None:
    if name in TOKEN_NAMES or (name.startswith(FIELD_PREFIX) and len(name) > len(FIELD_PREFIX)):
        return
    raise TemplateError(
        f"unknown token `{name}`: known are {', '.join(sorted(TOKEN_NAMES))} and {FIELD_PREFIX}NAME"
    )
