"""Addresses that bidders are told at: URLs with tokens in path and query, none about the caller."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import ValidatorFunctionWrapHandler, WrapValidator

from config.faults import mistake
from config.template_syntax import Literal, Template, TemplateError, parse_template
from config.values import Url

MAXIMUM_NOTICE_URL = 2048

_SHARED_TOKENS = frozenset({"ping_id", "bid_id", "bid", "offer", "campaign"})

WON_TOKENS = _SHARED_TOKENS | {"price"}
"""What the winner may be told."""

LOST_TOKENS = _SHARED_TOKENS | {"reason", "code"}
"""What a loser may be told: never the winning price."""

_UP_TO_PATH = re.compile(r"https?://[^/?#]+[/?]", re.IGNORECASE)
_FILLED_IN = "x"


def _with_tokens(known: frozenset[str]) -> Callable[[object, ValidatorFunctionWrapHandler], object]:
    def check(value: object, as_url: ValidatorFunctionWrapHandler) -> object:
        if not isinstance(value, str) or "{{" not in value:
            return as_url(value)
        if len(value) > MAXIMUM_NOTICE_URL:
            raise mistake(f"must have at most {MAXIMUM_NOTICE_URL} characters")
        as_url(_filled_in(_parsed(value, known)))
        return value

    return check


def _parsed(text: str, known: frozenset[str]) -> Template:
    try:
        template = parse_template(text, any_token=True)
    except TemplateError as error:
        raise mistake(str(error)) from error
    for token in template.tokens:
        if token.name not in known:
            names = ", ".join(sorted(known))
            raise mistake(f"can't name `{token.name}` here: known are {names}")
    return template


def _filled_in(template: Template) -> str:
    """The URL with every token replaced by a letter."""
    first = template.parts[0]
    if not isinstance(first, Literal) or _UP_TO_PATH.match(first.text) is None:
        raise mistake("may have tokens in its path and query only")
    return "".join(
        part.text if isinstance(part, Literal) else _FILLED_IN for part in template.parts
    )


WonUrl = Annotated[Url, WrapValidator(_with_tokens(WON_TOKENS))]
LostUrl = Annotated[Url, WrapValidator(_with_tokens(LOST_TOKENS))]
