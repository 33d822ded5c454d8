"""The calls of a run: every one another caller, so that none is a duplicate."""

from datetime import UTC, datetime
from typing import Final

import orjson

from benchmarks.stack.marketplace import DIALED_NUMBER, SOURCE, VERTICAL

_AREA_CODES: Final = ("212", "213", "310", "312", "415", "512", "617", "702", "713", "818")
_EXCHANGES: Final = tuple(str(each) for each in range(220, 990) if each % 100 != 11 and each != 555)

TALKED_S: Final = 95
"""Seconds on the line: long enough for the conversion that every offer waits for."""


def call_id_of(run: str, number: int) -> str:
    """The id of call ``number`` of a run."""
    return f"{run}-{number}@bench"


def caller_of(number: int) -> str:
    """A North American number, another one for each of 76 million calls."""
    rest, line = divmod(number, 10_000)
    area, exchange = divmod(rest, len(_EXCHANGES))
    return f"+1{_AREA_CODES[area % len(_AREA_CODES)]}{_EXCHANGES[exchange]}{line:04}"


class CallBodies:
    """Bodies of ``POST /v1/calls``, made by filling in two places of a prepared text."""

    def __init__(self, run: str, timeout_ms: int, first_caller: int = 0) -> None:
        """``first_caller`` is the number of the first call's caller."""
        self._run = run
        self._first_caller = first_caller
        content = {
            "call_id": "@",
            "dialed_number": DIALED_NUMBER,
            "caller_id": "@",
            "source": SOURCE,
            "fields": {
                "vertical": VERTICAL,
                "zip_code": "90210",
                "age": 42,
                "currently_insured": True,
                "first_name": "Ada",
                "last_name": "Byron",
                "email": "ada@example.com",
            },
            "timeout_ms": timeout_ms,
        }
        self._before, self._between, self._after = orjson.dumps(content).split(b'"@"')

    def body(self, number: int) -> bytes:
        """The body of call ``number``."""
        call_id = f'"{call_id_of(self._run, number)}"'.encode()
        caller = f'"{caller_of(self._first_caller + number)}"'.encode()
        return b"".join((self._before, call_id, self._between, caller, self._after))


def answered_body(call_id: str) -> bytes:
    """The body of the event that the call is answered now."""
    return orjson.dumps(_event(call_id, "answered"))


def ended_body(call_id: str) -> bytes:
    """The body of the event that the call ends now, after a talk that converts."""
    times = {"total_duration_s": TALKED_S + 5, "connected_duration_s": TALKED_S}
    return orjson.dumps(_event(call_id, "ended") | times | {"ended_by": "caller"})


def _event(call_id: str, kind: str) -> dict[str, object]:
    return {
        "call_id": call_id,
        "event_id": f"{call_id}/{kind}",
        "type": kind,
        "attempt": 1,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
