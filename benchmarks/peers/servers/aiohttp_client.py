"""An aiohttp server with one shared aiohttp ``ClientSession``, on uvloop."""

import asyncio
import gc
import json
import os
import uuid
from collections.abc import AsyncIterator

import aiohttp
import orjson
import uvloop
from aiohttp import web
from yarl import URL

TIMEOUT_MS = int(os.environ["TIMEOUT_MS"])
JSON = {"Content-Type": "application/json"}

Bid = tuple[float, str, str]
SESSION = web.AppKey("session", aiohttp.ClientSession)


class Buyer:
    """Whom to ping, and with which headers."""

    def __init__(self, offer: str, url: str, headers: dict[str, str]) -> None:
        self.offer = offer
        self.url = URL(url)
        self.headers = headers | JSON


BUYERS = [Buyer(**each) for each in json.loads(os.environ["OFFERS"])]


async def session(app: web.Application) -> AsyncIterator[None]:
    """One session for the life of the server."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_MS / 1000),
    ) as app[SESSION]:
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        yield


async def decide(request: web.Request) -> web.Response:
    """Ping every buyer at once; the highest bid wins."""
    call = orjson.loads(await request.read())
    client = request.app[SESSION]
    token = uuid.uuid4().hex
    pings = (ping(client, call, buyer, f"{token}-{n}") for n, buyer in enumerate(BUYERS))
    bids = [bid for bid in await asyncio.gather(*pings) if bid is not None]
    answer = {"call_id": call["call_id"], "action": "no_route"}
    if bids:
        _, price, offer = max(bids)
        answer |= {"action": "route", "routed_by": "auction", "offer": offer, "price": price}
        answer["currency"] = "USD"
    return web.Response(body=orjson.dumps(answer), headers=JSON)


async def ping(
    client: aiohttp.ClientSession, call: dict[str, object], buyer: Buyer, ping_id: str
) -> Bid | None:
    """One buyer's bid, None where it has none or does not answer in time."""
    body = orjson.dumps(
        {
            "ping_id": ping_id,
            "campaign": "bench",
            "offer": buyer.offer,
            "caller": {"area_code": str(call["caller_id"])[2:5], "state": None, "country": "US"},
            "fields": call["fields"],
            "minimum_bid": "1.00",
            "timeout_ms": TIMEOUT_MS,
        }
    )
    try:
        async with client.post(buyer.url, data=body, headers=buyer.headers) as response:
            answer = orjson.loads(await response.read())
            status = response.status
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    if status != 200 or answer["accepted"] is not True:
        return None
    return float(answer["bid"]), str(answer["bid"]), buyer.offer


def application() -> web.Application:
    """The server's application."""
    app = web.Application()
    app.cleanup_ctx.append(session)
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
