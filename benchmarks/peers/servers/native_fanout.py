"""An aiohttp server with the product's own transport: the product's bare fan-out."""

import asyncio
import gc
import json
import os
import uuid
from collections.abc import AsyncIterator
from ipaddress import ip_network
from urllib.parse import urlsplit

import orjson
import uvloop
from aiohttp import web

from buyers.native_transport import NativeTransport
from buyers.outbound import OutboundRule
from buyers.transport import (
    Answer,
    HeaderBlock,
    Origin,
    PreparedRequest,
    RawAnswer,
    Transport,
    request_head,
)

TIMEOUT_MS = int(os.environ["TIMEOUT_MS"])
JSON = {"Content-Type": "application/json"}

Bid = tuple[float, str, str]
TRANSPORT = web.AppKey("transport", Transport)


class FanOut:
    """One wait and one timer for all pings; those that are late are given up."""

    def __init__(self, pings: list[asyncio.Future[Bid | None]]) -> None:
        loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = loop.create_future()
        self._pings = pings
        self._out = len(pings)
        self._timer = loop.call_later(TIMEOUT_MS / 1000, self._time_out)
        for each in pings:
            each.add_done_callback(self._answered)

    def _answered(self, _: asyncio.Future[Bid | None]) -> None:
        self._out -= 1
        if not self._out:
            self._timer.cancel()
            self.finished.set_result(None)

    def _time_out(self) -> None:
        for each in self._pings:
            each.cancel()


class Buyer:
    """One buyer's address, and how its answer is read."""

    def __init__(self, offer: str, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self.offer = offer
        self.origin = Origin(parts.scheme, parts.hostname or "", parts.port or 80)
        self.path = parts.path
        self.headers = HeaderBlock(tuple((headers | JSON).items()))
        self.head = request_head(self.origin, "POST", self.path, self.headers)

    def ping(
        self, transport: Transport, call: dict[str, object], ping_id: str
    ) -> asyncio.Future[Bid | None]:
        """Ask for a bid; None where the buyer has none."""
        body = orjson.dumps(
            {
                "ping_id": ping_id,
                "campaign": "bench",
                "offer": self.offer,
                "caller": {
                    "area_code": str(call["caller_id"])[2:5],
                    "state": None,
                    "country": "US",
                },
                "fields": call["fields"],
                "minimum_bid": "1.00",
                "timeout_ms": TIMEOUT_MS,
            }
        )
        request = PreparedRequest(
            self.origin, "POST", self.path, self.headers, body=body, head=self.head
        )
        return transport.request(request, self.read)

    def read(self, answer: Answer) -> Bid | None:
        """The bid of an answer."""
        if not isinstance(answer, RawAnswer) or answer.status != 200:
            return None
        try:
            content = orjson.loads(answer.body)
        except ValueError:
            return None
        if content["accepted"] is not True:
            return None
        return float(content["bid"]), str(content["bid"]), self.offer


BUYERS = [Buyer(**each) for each in json.loads(os.environ["OFFERS"])]


async def transport(app: web.Application) -> AsyncIterator[None]:
    """One transport for the life of the server."""
    app[TRANSPORT] = NativeTransport(OutboundRule([ip_network("127.0.0.0/8")]))
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    yield
    await app[TRANSPORT].close()


async def decide(request: web.Request) -> web.Response:
    """Ping every buyer at once; the highest bid wins."""
    call = orjson.loads(await request.read())
    client = request.app[TRANSPORT]
    token = uuid.uuid4().hex
    pings = [buyer.ping(client, call, f"{token}-{n}") for n, buyer in enumerate(BUYERS)]
    await FanOut(pings).finished
    bids = [bid for each in pings if not each.cancelled() and (bid := each.result()) is not None]
    answer = {"call_id": call["call_id"], "action": "no_route"}
    if bids:
        _, price, offer = max(bids)
        answer |= {"action": "route", "routed_by": "auction", "offer": offer, "price": price}
        answer["currency"] = "USD"
    return web.Response(body=orjson.dumps(answer), headers=JSON)


def application() -> web.Application:
    """The server's application."""
    app = web.Application()
    app.cleanup_ctx.append(transport)
    app.router.add_post("/v1/calls", decide)
    return app


if __name__ == "__main__":
    web.run_app(
        application(),
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )
