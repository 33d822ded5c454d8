"""The handlers under ``/v1/suppressions/{id}/numbers``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import orjson
from aiohttp import hdrs, web

from auction.domain.ids import SuppressionId
from auction.domain.phone import mask, normalise_number
from auction.domain.terms import Catalogue
from auction.ports import ListReplacedError
from auction.web import problems
from auction.web.authentication import granted_to_manage
from auction.web.drain import Drain
from auction.web.in_force import TermsInForce
from auction.web.management.requests import actor_of
from auction.web.number_import import (
    How,
    NothingReadableError,
    NumberImport,
    NumberLists,
    Tally,
)
from auction.web.number_lines import LONGEST_LINE, LineForm, LineTooLongError, NumberReader
from auction.web.problems import CallerMistakeError, Fault, ProblemKind, invalid
from auction.web.services import Tokens

SILENT_S: Final = 30.0
"""How long a client may send nothing in the middle of a body."""

MOST_IMPORTS: Final = 1
"""How many bodies a process takes in at the same time: calls go first."""

RETRY_AFTER_S: Final = 10

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}
_REPLACED: Final = ProblemKind(409, "list-replaced", "The list was replaced meanwhile")
_WORDS: Final = {
    How.ADD: ("added", "duplicates"),
    How.REMOVE: ("removed", "unknown"),
    How.REPLACE: ("added", "duplicates"),
}


class SuppressionHandlers:
    """Putting numbers on lists, taking them off, looking for one."""

    def __init__(
        self,
        lists: NumberLists,
        tokens: Tokens,
        terms: TermsInForce,
        keyed: Callable[[str], bytes],
        drain: Drain,
    ) -> None:
        self._lists = lists
        self._tokens = tokens
        self._terms = terms
        self._keyed = keyed
        self._drain = drain
        self._running = 0

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        path = "/v1/suppressions/{id:[^/]+}/numbers"
        router.add_get(path, self.count)
        router.add_post(path, self.add)
        router.add_put(path, self.replace)
        router.add_delete(path, self.remove)
        router.add_get(path + "/{number:[^/]+}", self.find)

    async def count(self, request: web.Request) -> web.Response:
        """``GET``: how many numbers are on the list."""
        await granted_to_manage(request, self._tokens)
        suppression, _ = await self._asked(request)
        return _answer({"list": suppression, "numbers": await self._lists.count(suppression)})

    async def find(self, request: web.Request) -> web.Response:
        """``GET …/{number}``: whether it is on the list."""
        await granted_to_manage(request, self._tokens)
        suppression, terms = await self._asked(request)
        number = normalise_number(request.match_info["number"], terms.default_country)
        if number is None:
            raise invalid(Fault("number", "is no phone number"))
        on = await self._lists.lists_of(self._keyed(number))
        return _answer({"list": suppression, "number": mask(number), "listed": suppression in on})

    async def add(self, request: web.Request) -> web.Response:
        """``POST``: the body's numbers are put on the list."""
        return await self._take(request, How.ADD)

    async def remove(self, request: web.Request) -> web.Response:
        """``DELETE``: the body's numbers are taken off the list."""
        return await self._take(request, How.REMOVE)

    async def replace(self, request: web.Request) -> web.Response:
        """``PUT``: the body's numbers are the list from the moment of the answer on."""
        return await self._take(request, How.REPLACE)

    async def _take(self, request: web.Request, how: How) -> web.Response:
        grant = await granted_to_manage(request, self._tokens)
        suppression, terms = await self._asked(request)
        reader = NumberReader(_form(request), terms.default_country)
        if self._running >= MOST_IMPORTS:
            raise CallerMistakeError(
                problems.UNAVAILABLE,
                "A list is being taken in already; ask again later.",
                headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_S)},
            )
        self._running += 1
        try:
            work = NumberImport(self._lists, suppression, reader, self._keyed, actor_of(grant))
            tally = await self._run(work, how, request)
        finally:
            self._running -= 1
        numbers = await self._lists.count(suppression)
        return _answer({**_told(suppression, how, tally), "numbers": numbers})

    async def _run(self, work: NumberImport, how: How, request: web.Request) -> Tally:
        try:
            return await work.run(how, self._pieces(request))
        except LineTooLongError:
            detail = f"A line has at most {LONGEST_LINE} bytes."
            raise CallerMistakeError(problems.TOO_LARGE, detail) from None
        except NothingReadableError as error:
            raise invalid(*_faults(error.tally)) from None
        except ListReplacedError:
            detail = "Another list took its place while this one was sent; send it again."
            raise CallerMistakeError(_REPLACED, detail) from None

    async def _pieces(self, request: web.Request) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    piece = await request.content.readany()
            except TimeoutError:
                detail = f"Nothing came for {SILENT_S:g} seconds."
                raise CallerMistakeError(problems.BODY_TIMEOUT, detail) from None
            except (web.RequestPayloadError, ConnectionError):
                raise CallerMistakeError(problems.BAD_REQUEST, "The body ended early.") from None
            if self._drain.draining:
                raise _going_down()
            if not piece:
                return
            yield piece

    async def _asked(self, request: web.Request) -> tuple[SuppressionId, Catalogue]:
        """The list that is asked for. Raises CallerMistakeError: 404."""
        suppression = SuppressionId(request.match_info["id"])
        terms = await self._terms.having(lambda terms: suppression in terms.suppression_lists)
        if suppression not in terms.suppression_lists:
            raise CallerMistakeError(problems.NOT_FOUND, "The marketplace has no list of this id.")
        return suppression, terms


def _form(request: web.Request) -> LineForm:
    given = request.content_type if hdrs.CONTENT_TYPE in request.headers else LineForm.TEXT.value
    known = {form.value: form for form in LineForm}
    if given not in known:
        detail = f"Send one of {', '.join(known)}."
        raise CallerMistakeError(problems.UNSUPPORTED, detail)
    return known[given]


def _told(suppression: SuppressionId, how: How, tally: Tally) -> dict[str, object]:
    changed, unchanged = _WORDS[how]
    return {
        "list": suppression,
        "lines": tally.lines,
        changed: tally.changed,
        unchanged: tally.unchanged,
        "invalid": tally.invalid,
        "faults": [{"line": line, "message": message} for line, message in tally.faults],
    }


def _faults(tally: Tally) -> list[Fault]:
    return [Fault(f"line {line}", message) for line, message in tally.faults]


def _going_down() -> CallerMistakeError:
    return CallerMistakeError(
        problems.UNAVAILABLE,
        "The service is going down; what was stored stays. Send it again.",
        headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_S)},
    )


def _answer(content: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(content), headers=_JSON)
