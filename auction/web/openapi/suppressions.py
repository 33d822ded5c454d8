"""The operations on the numbers of suppression lists."""

from typing import Final

from auction.web.openapi.answers import Answer
from auction.web.openapi.operation import WITH_BODY, Operation, Operations, Schema


class LineFault(Answer):
    """A line that is no number."""

    line: int
    message: str


Faults = list[LineFault]


class NumbersCounted(Answer):
    """How many numbers a list has."""

    list: str
    numbers: int


class NumbersTaken(NumbersCounted):
    """What became of the numbers sent; how many changed stands under a name of its own."""

    lines: int
    invalid: int
    faults: Faults


class NumberFound(Answer):
    """Whether a number is on a list."""

    list: str
    number: str
    listed: bool


_PATH: Final = "/v1/suppressions/{id}/numbers"
_LINES: Final[Schema] = {"type": "string", "description": "A number on each line."}
_TAKEN: Final = Operation(
    answers={200: NumbersTaken},
    body=_LINES,
    problems=(*WITH_BODY, 404, 409, 415),
    body_types=("text/plain", "text/csv", "application/x-ndjson"),
    body_required=False,
)
SUPPRESSION_OPERATIONS: Final[Operations] = {
    ("GET", _PATH): Operation(answers={200: NumbersCounted}, problems=(404,)),
    ("POST", _PATH): _TAKEN,
    ("PUT", _PATH): _TAKEN,
    ("DELETE", _PATH): _TAKEN,
    ("GET", f"{_PATH}/{{number}}"): Operation(answers={200: NumberFound}, problems=(404, 422)),
}
