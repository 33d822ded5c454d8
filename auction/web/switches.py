"""The handler of ``/v1/switches/{name}/live-calls``: the calls that a switch still has."""

import re
from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import Annotated, Final, Protocol

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from auction.domain.ids import CallId
from auction.ports import Clock
from auction.web import problems
from auction.web.authentication import Scope, granted_to_report
from auction.web.bodies import JsonObject, parse_object, read_bytes
from auction.web.call_request import LONGEST_NAME
from auction.web.event_request import Instant
from auction.web.faults import faults_of
from auction.web.problems import CallerMistakeError, Fault, invalid
from auction.web.services import Tokens

MAX_LIST_BYTES: Final = 16 * 1024 * 1024
MOST_CALLS: Final = 100_000
MOST_SHOWN: Final = 1000

FAR_AHEAD: Final = timedelta(days=1)

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}
_NAME: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{LONGEST_NAME}}}")


class Compared(Protocol):
    """What a switch's list brought."""

    @property
    def closed(self) -> Sequence[CallId]:
        """The calls that were closed as lost."""

    @property
    def live(self) -> int:
        """How many calls the switch has by our books now."""


class SwitchCalls(Protocol):
    """Where switches' lists go."""

    async def compare(self, switch: str, as_of: datetime, listed: Set[CallId]) -> Compared:
        """Close what a switch lacks of its calls. Raises StorageUnavailableError."""


Listed = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
"""Only compared with the ids of our calls, so it may hold anything."""


class LiveCallsRequest(BaseModel):
    """The body: every call that the switch had at that moment."""

    model_config = ConfigDict(strict=True, extra="forbid")

    as_of: Instant
    call_ids: Annotated[list[Listed], Field(max_length=MOST_CALLS), FailFast()]


class SwitchHandlers:
    """What a switch says of itself. ``max_bytes`` bounds the body of a list."""

    def __init__(
        self,
        switch_calls: SwitchCalls,
        tokens: Tokens,
        clock: Clock,
        max_bytes: int = MAX_LIST_BYTES,
    ) -> None:
        self._switch_calls = switch_calls
        self._tokens = tokens
        self._clock = clock
        self._max_bytes = max_bytes

    async def compare(self, request: web.Request) -> web.Response:
        """These calls the switch still has; those of its calls that are missing are over."""
        switch = request.match_info["name"]
        await self._authorise(request, switch)
        listed = read_live_calls(parse_object(await read_bytes(request, self._max_bytes)))
        as_of = listed.as_of
        if as_of > self._clock.now() + FAR_AHEAD:
            raise invalid(Fault("as_of", "is more than a day ahead: the switch's clock is wrong"))
        live = frozenset(CallId(call_id) for call_id in listed.call_ids)
        compared = await self._switch_calls.compare(switch, as_of, live)
        answer = {
            "switch": switch,
            "as_of": as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "closed": compared.closed[:MOST_SHOWN],
            "closed_count": len(compared.closed),
            "live": compared.live,
        }
        return web.Response(body=orjson.dumps(answer), headers=_JSON)

    async def _authorise(self, request: web.Request, switch: str) -> None:
        """Raises CallerMistakeError: 401, 403, or 404 for what is no name."""
        grant = await granted_to_report(request, self._tokens)
        if Scope.ADMIN not in grant.scopes and grant.switch != switch:
            raise CallerMistakeError(
                problems.FORBIDDEN, "A token of this switch is needed, or one with scope admin."
            )
        if _NAME.fullmatch(switch) is None:
            raise CallerMistakeError(problems.NOT_FOUND, "There is no such switch.")


def read_live_calls(body: JsonObject) -> LiveCallsRequest:
    """The list, validated. Raises CallerMistakeError (422)."""
    try:
        return LiveCallsRequest.model_validate(body)
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None
