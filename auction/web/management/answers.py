"""How the management API answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import orjson
from aiohttp import hdrs, web

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}


def json_answer(status: int, content: Mapping[str, object]) -> web.Response:
    """An answer with a JSON body."""
    return web.Response(status=status, body=orjson.dumps(content), headers=_JSON)


def written(at: datetime) -> str:
    """An instant as RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
