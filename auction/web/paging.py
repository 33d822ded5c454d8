"""What the queries of lists share: known parameters, ``limit``, and ``after`` by time and id."""

import re
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web
from multidict import MultiMapping

from auction.web.faults import readable_name
from auction.web.problems import Fault, invalid

DEFAULT_LIMIT: Final = 100
MOST: Final = 1000

BAD_PLACE: Final = "must be the `next` of an earlier answer"

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_PLACE: Final = re.compile(r"([0-9]{1,17})-([0-9a-z_]{1,64})", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Place = tuple[datetime, str]
"""When the last one of a page happened, and its id."""


def known_only(request: web.Request, names: AbstractSet[str]) -> None:
    """Raises CallerMistakeError (422) for a query parameter that means nothing or stands twice."""
    faults = [
        Fault(readable_name(name), _told(name, names))
        for name in dict.fromkeys(request.query)
        if name not in names or len(request.query.getall(name)) > 1
    ]
    if faults:
        raise invalid(*faults[:10])


def read_limit(query: MultiMapping[str], most: int = MOST) -> int:
    """``limit`` of a page. Raises CallerMistakeError: 422."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if _NUMBER.fullmatch(text) and 1 <= int(text) <= most:
        return int(text)
    raise invalid(Fault("limit", f"must be a whole number from 1 to {most}"))


def read_place(query: MultiMapping[str], ids: re.Pattern[str]) -> Place | None:
    """``after``, which ends with one of these ids; None: the first page. Raises as the limit."""
    text = query.get("after")
    if text is None:
        return None
    place = _PLACE.fullmatch(text)
    if place is None or not ids.fullmatch(place[2]):
        raise invalid(Fault("after", BAD_PLACE))
    return _EPOCH + int(place[1]) * _MICROSECOND, place[2]


def write_place(place: Place) -> str:
    """A place as text for ``after``."""
    at, name = place
    return f"{(at - _EPOCH) // _MICROSECOND}-{name}"


def _told(name: str, names: AbstractSet[str]) -> str:
    if name in names:
        return "must stand once"
    known = ", ".join(sorted(names)) or "none"
    return f"is not a known parameter: known are {known}"
