"""``/openapi.json``, and ``/docs`` to read it with: a page that asks nothing of anybody else."""

import asyncio
from importlib.resources import files
from typing import Final

import orjson
from aiohttp import hdrs, web

from auction.web.openapi.document import DOCS_PATH, OPENAPI_PATH, openapi

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}
_PAGE: Final = {
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; "
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}


class DocumentHandlers:
    """Shows what the router serves; no token is asked, since nothing in it is a secret."""

    def __init__(self, router: web.UrlDispatcher) -> None:
        self._router = router
        self._document: bytes | None = None
        self._page = (files("auction.web.openapi") / "docs.html").read_bytes()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add both routes, after all others."""
        router.add_get(OPENAPI_PATH, self.show)
        router.add_get(DOCS_PATH, self.browse)

    async def show(self, _: web.Request) -> web.Response:
        """``GET /openapi.json``: made at the first request."""
        if self._document is None:
            made = await asyncio.to_thread(openapi, self._router)
            self._document = orjson.dumps(made)
        return web.Response(body=self._document, headers=_JSON)

    async def browse(self, _: web.Request) -> web.Response:
        """``GET /docs``."""
        return web.Response(body=self._page, headers=_PAGE)
