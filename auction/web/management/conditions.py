"""``ETag``, ``If-Match`` and ``If-None-Match``: what is changed is what was seen."""

import re
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from auction.web import problems
from auction.web.problems import CallerMistakeError, Fault, invalid

_TAGS: Final = re.compile(r'\s*((W/)?"[\x21\x23-\x7e]{0,64}"|\*)\s*(,|$)')
_LONGEST: Final = 2000


def etag(since: int) -> str:
    """The tag of an object that is as it is since a revision."""
    return f'"{since}"'


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold before a change. None: nothing was asked; ``*`` stands for any there is."""

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    def check(self, since: int | None) -> None:
        """``since`` None: there is no such object. Raises CallerMistakeError: 412."""
        if self.match is not None and not _matches(self.match, since):
            raise CallerMistakeError(
                problems.STALE,
                "It was changed since it was read: read it again and repeat the change.",
                headers={} if since is None else {hdrs.ETAG: etag(since)},
            )
        if self.none_match is not None and _matches(self.none_match, since):
            raise CallerMistakeError(problems.STALE, "There is one already.")

    def seen(self, since: int) -> bool:
        """Whether whoever asks has it as it is."""
        return self.none_match is not None and _matches(self.none_match, since)


NO_CONDITION: Final = Condition()


def read_condition(request: web.Request) -> Condition:
    """The condition of a request. Raises CallerMistakeError: 422 for one that can't be read."""
    return Condition(
        _read_tags(request, hdrs.IF_MATCH),
        _read_tags(request, hdrs.IF_NONE_MATCH),
    )


def _read_tags(request: web.Request, name: str) -> frozenset[str] | None:
    if name not in request.headers:
        return None
    text = ",".join(request.headers.getall(name))
    tags: set[str] = set()
    position = 0
    while position < len(text) <= _LONGEST:
        found = _TAGS.match(text, position)
        if found is None:
            break
        tags.add(found[1])
        position = found.end()
    if position < len(text) or not tags:
        raise invalid(Fault(name, 'must be * or tags such as "17", as they came in ETag'))
    # A weak tag says nothing of the content's bytes, so none matches (RFC 9110, strong comparison).
    return frozenset(tag for tag in tags if not tag.startswith("W/"))


def _matches(tags: frozenset[str], since: int | None) -> bool:
    return since is not None and ("*" in tags or etag(since) in tags)
