"""What a switch sent, in the query, in a form or as JSON, as one set of parameters."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from auction.web import problems
from auction.web.bodies import JsonObject, parse_object
from auction.web.problems import CallerMistakeError

MOST_PARAMETERS: Final = 1000
"""FreeSWITCH sends every variable of a channel."""

CALL_LINK: Final = "call"
KEY_LINK: Final = "key"
"""What the addresses that we give to a switch name the call by, and what they open it with."""

FORM: Final = "application/x-www-form-urlencoded"

_WHOLE: Final = re.compile(r"\d{1,18}", re.ASCII)
"""Python refuses to read thousands of digits; no number of a switch has more than these."""


@dataclass(frozen=True, slots=True)
class Given:
    """Parameters of the query and of the body; ``own_words``: the body is our own JSON."""

    query: JsonObject
    body: JsonObject
    own_words: bool = False

    @property
    def both(self) -> JsonObject:
        """Both as one; the query, which whoever set the switch up wrote, comes first."""
        return {**self.body, **self.query}


def read_given(query: str, body: bytes, content_type: str) -> Given:
    """What a request brings: a JSON object however it is announced, else a form.

    Raises CallerMistakeError: 400 or 422.
    """
    asked = read_pairs(query)
    text = body.strip()
    if not text:
        return Given(asked, {})
    if content_type == FORM and not text.startswith(b"{"):
        return Given(asked, read_pairs(text.decode(errors="replace")))
    content = parse_object(body)
    # jambonz has a call_id as well: that of SIP
    own = "call_id" in content and "call_sid" not in content
    return Given(asked, content, own_words=own)


def read_pairs(text: str) -> JsonObject:
    """A query's or a form's parameters, the first of each name. Raises CallerMistakeError: 400."""
    try:
        found = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        detail = f"There are more than {MOST_PARAMETERS} parameters."
        raise CallerMistakeError(problems.BAD_REQUEST, detail) from None
    return dict(reversed(found))


def first_text(given: JsonObject, names: Iterable[str]) -> str | None:
    """The first of these parameters that is there and not empty, as text."""
    for name in names:
        value = given.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value:
            return value
    return None


def first_whole(given: JsonObject, names: Iterable[str]) -> int | None:
    """The first of these that is there as a whole number, of 18 digits at most; None for none."""
    match = _WHOLE.fullmatch(first_text(given, names) or "")
    return None if match is None else int(match[0])


def present(body: Mapping[str, object]) -> JsonObject:
    """What is there."""
    return {name: value for name, value in body.items() if value is not None}
