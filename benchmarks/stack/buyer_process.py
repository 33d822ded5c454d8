"""Buyers that cost little: the plain dialect, one port each, every answer after the same delay.

``python -m … OPTIONS`` where OPTIONS is the JSON of ``BuyerOptions``. They check the credentials,
count, and bid one of a few hundred prepared amounts; what misbehaving buyers do is the simulator's.
"""

import asyncio
import gc
import json
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Final, cast

import httptools
import uvloop

from benchmarks.stack.buyer_options import BuyerOptions, steady_bid
from benchmarks.stack.spoken import Orders, say

PREPARED_BIDS: Final = 257
"""A prime, so that buyers with different steps through their bids take turns in winning."""

_UNAUTHORISED: Final = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"


class Buyer:
    """One buyer's credentials, answers and counts."""

    def __init__(
        self, number: int, credential: bytes, delay_s: float, *, steady: bool = False
    ) -> None:
        """``number`` makes its bids unlike those of the others."""
        self.credential = credential
        self.delay_s = delay_s
        self.pings = self.posts = self.refused = 0
        self._bids = cycle(_steady(number) if steady else _bids(number))
        self._accepted = _answer({"accepted": True})

    def answer(self, target: bytes, head: bytes) -> bytes:
        """The answer to a request."""
        if self.credential not in head:
            self.refused += 1
            return _UNAUTHORISED
        if target == b"/ping":
            self.pings += 1
            return next(self._bids)
        self.posts += 1
        return self._accepted


class BuyerConnection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time."""

    def __init__(self, buyer: Buyer) -> None:
        """Serve one client of ``buyer``."""
        self._buyer = buyer
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._received = self._target = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the ``on_`` methods; what is no HTTP ends the connection."""
        self._received += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._target += url

    def on_message_complete(self) -> None:
        """The request is whole."""
        payload = self._buyer.answer(self._target, self._received)
        self._received = self._target = b""
        delay_s = self._buyer.delay_s
        if delay_s:
            self._loop.call_later(delay_s, self._transport.write, payload)
        else:
            self._transport.write(payload)


def _bids(number: int) -> list[bytes]:
    step = number * 2 + 1
    cents = [4000 + (place * step * 37) % PREPARED_BIDS * 10 for place in range(PREPARED_BIDS)]
    return [
        _answer(_bid(number, place, f"{amount // 100}.{amount % 100:02}"))
        for place, amount in enumerate(cents)
    ]


def _steady(number: int) -> list[bytes]:
    return [_answer(_bid(number, 0, steady_bid(number)))]


def _bid(number: int, place: int, amount: str) -> dict[str, object]:
    return {
        "accepted": True,
        "bid": amount,
        "bid_id": f"{number}-{place}",
        "expires_in_s": 60,
        "minimum_duration_s": 90,
    }


def _answer(content: dict[str, object]) -> bytes:
    body = json.dumps(content).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:"
    return f"{head} {len(body)}\r\n\r\n".encode() + body


async def _listen(buyers: Sequence[Buyer], tls: ssl.SSLContext | None) -> list[int]:
    loop = asyncio.get_running_loop()
    ports = []
    for buyer in buyers:
        server = await loop.create_server(
            partial(BuyerConnection, buyer),
            "127.0.0.1",
            0,
            backlog=4096,
            ssl=tls,
        )
        ports.append(server.sockets[0].getsockname()[1])
    return ports


def _tls(options: BuyerOptions) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    return context


async def serve(options: BuyerOptions) -> None:
    """Answer until the input closes; to each line of input the counts are said."""
    orders = await Orders.open()
    buyers = [
        Buyer(number, credential.encode(), options.delay_ms / 1000, steady=options.steady)
        for number, credential in enumerate(options.credentials)
    ]
    say({"ports": await _listen(buyers, _tls(options))})
    gc.freeze()
    while await orders.next() is not None:
        say(
            {
                "pings": sum(buyer.pings for buyer in buyers),
                "posts": sum(buyer.posts for buyer in buyers),
                "refused": sum(buyer.refused for buyer in buyers),
                "pings_each": [buyer.pings for buyer in buyers],
            }
        )


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        uvloop.run(serve(BuyerOptions(**json.loads(sys.argv[1]))))
