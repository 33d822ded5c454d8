"""The operations on tokens, numbers of lists, and callers."""

from typing import Final, Literal

from auction.web.number_lines import LineForm
from auction.web.openapi.answers import Answer, Instant
from auction.web.openapi.operation import Operation, Operations, Schema
from auction.web.token_requests import TokenRequest


class RateLimit(Answer):
    """How much a token may ask."""

    per_second: float
    burst: int


class Token(Answer):
    """A token as it is listed: its text is told once, by the answer that makes it."""

    id: str
    name: str
    scopes: list[Literal["calls", "read", "admin", "pii", "postback"]]
    buyer: str | None
    source: str | None
    switch: str | None
    rate_limit: RateLimit | None
    expires_at: Instant | None
    created_at: Instant
    revoked_at: Instant | None


class NewToken(Token):
    """A token just made, with its text."""

    token: str


class TokenPage(Answer):
    """A page of tokens; ``next`` goes into ``after``."""

    tokens: list[Token]
    next: str | None


class LineFault(Answer):
    """A line that holds no number."""

    line: int
    message: str


class NumbersTaken(Answer):
    """What became of a body's lines; ``numbers`` are on the list now."""

    list: str
    lines: int
    invalid: int
    faults: tuple[LineFault, ...]
    numbers: int


class NumbersAdded(NumbersTaken):
    """As it was put on a list."""

    added: int
    duplicates: int


class NumbersRemoved(NumbersTaken):
    """As it was taken off a list."""

    removed: int
    unknown: int


class NumberCount(Answer):
    """How many numbers are on a list."""

    list: str
    numbers: int


class NumberFound(Answer):
    """Whether one number is on a list."""

    list: str
    number: str
    listed: bool


class Kept(Answer):
    """What is kept of a caller so that it is left alone."""

    suppressions: list[str]
    caller_blocklists: list[str]


class CallerData(Kept):
    """What is kept of a caller, page by page; ``next`` goes into ``after``."""

    caller: str
    calls: list[dict[str, object]]
    next: str | None


class CallerErased(Answer):
    """Rows that were changed or deleted by table, and calls that are still in use."""

    caller: str
    erased: dict[str, int]
    in_use: list[str]
    in_use_count: int
    kept: Kept


_AFTER: Final[Schema] = {"type": "string"}
_LINES: Final[Schema] = {"type": "string"}
_NUMBERS: Final = "/v1/suppressions/{id}/numbers"
_FORMS: Final = tuple(form.value for form in LineForm)
_BODY_PROBLEMS: Final = (404, 408, 409, 413, 415, 422)


def _page(most: int) -> dict[str, Schema]:
    limit = {"type": "integer", "minimum": 1, "maximum": most, "default": 100}
    return {"limit": limit, "after": _AFTER}


def _taking(answer: type[Answer]) -> Operation:
    return Operation(
        answers={200: answer},
        body=_LINES,
        body_types=_FORMS,
        body_required=False,
        problems=_BODY_PROBLEMS,
    )


ACCESS_OPERATIONS: Final[Operations] = {
    ("POST", "/v1/tokens"): Operation(
        answers={201: NewToken},
        body=TokenRequest,
        problems=(408, 413, 422),
        answer_headers=("Location",),
    ),
    ("GET", "/v1/tokens"): Operation(answers={200: TokenPage}, query=_page(1000), problems=(422,)),
    ("GET", "/v1/tokens/{token_id}"): Operation(answers={200: Token}, problems=(404,)),
    ("DELETE", "/v1/tokens/{token_id}"): Operation(answers={204: None}, problems=(404,)),
    ("GET", _NUMBERS): Operation(answers={200: NumberCount}, problems=(404,)),
    ("POST", _NUMBERS): _taking(NumbersAdded),
    ("PUT", _NUMBERS): _taking(NumbersAdded),
    ("DELETE", _NUMBERS): _taking(NumbersRemoved),
    ("GET", f"{_NUMBERS}/{{number}}"): Operation(answers={200: NumberFound}, problems=(404, 422)),
    ("GET", "/v1/callers/{number}"): Operation(
        answers={200: CallerData}, query=_page(500), problems=(404, 422)
    ),
    ("DELETE", "/v1/callers/{number}"): Operation(answers={200: CallerErased}, problems=(404,)),
}
