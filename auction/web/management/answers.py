"""How the management API answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import orjson
from aiohttp import hdrs, web

from storage.managing import CatalogueChange

IN_FORCE_AT: Final = "X-Pingpost-In-Force-At"
"""The header that tells when a change comes into force which services need time for."""

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}


def json_answer(status: int, content: Mapping[str, object]) -> web.Response:
    """An answer with a JSON body."""
    return web.Response(status=status, body=orjson.dumps(content), headers=_JSON)


def told_when(response: web.Response, change: CatalogueChange) -> web.Response:
    """The answer to a change, with the time at which it is in force where that is not now."""
    if change.in_force_at is not None:
        response.headers[IN_FORCE_AT] = written(change.in_force_at)
    return response


def written(at: datetime) -> str:
    """An instant as RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
