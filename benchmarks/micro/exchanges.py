"""A ping over a socket: what the transports cost this process, with buyers in another one."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from auction.domain.bidding import PingReply, Quote
from benchmarks.errors import BenchmarkError
from benchmarks.micro.dialects import a_dialect, an_occasion
from benchmarks.micro.timing import Case, Stopwatch
from benchmarks.stack import Buyers, running_buyers
from benchmarks.stack.buyer_options import credential_of
from benchmarks.stack.certificate import Certificate, make_certificate
from buyers.aiohttp_transport import AiohttpTransport
from buyers.native_transport import NativeTransport
from buyers.outbound import OutboundRule
from buyers.transport import PreparedRequest, Transport

Make = Callable[[ssl.SSLContext | None], Transport]

BUYERS: Final = 10
IN_FLIGHT: Final = (10, 200)

_RULE: Final = OutboundRule([ip_network("127.0.0.0/8")])
_TRANSPORTS: Final[dict[str, Make]] = {
    "native": lambda tls: NativeTransport(_RULE, tls=tls),
    "aiohttp": lambda tls: AiohttpTransport(_RULE, tls=tls),
}


@asynccontextmanager
async def transport_cases(folder: Path) -> AsyncIterator[list[Case]]:
    """Every transport, plain and over TLS, with few and with many pings in flight."""
    certificate = make_certificate(folder)
    async with AsyncExitStack() as stack:
        cases = []
        for scheme, files in (("http", None), ("https", certificate)):
            buyers = await stack.enter_async_context(
                running_buyers(folder, BUYERS, delay_ms=0.0, tls=files)
            )
            for name, make in _TRANSPORTS.items():
                transport = make(_trusting(files))
                stack.push_async_callback(transport.close)
                pings = _pings(buyers, scheme)
                cases += [_case(name, scheme, transport, pings, many) for many in IN_FLIGHT]
        yield cases


def _trusting(certificate: Certificate | None) -> ssl.SSLContext | None:
    return (
        None if certificate is None else ssl.create_default_context(cafile=certificate.certificate)
    )


def _pings(buyers: Buyers, scheme: str) -> list[tuple[PreparedRequest, Callable[..., PingReply]]]:
    """One ping for each buyer, prepared: rendering is measured elsewhere."""
    occasion = an_occasion()
    dialects = [
        a_dialect({"auth": {"type": "bearer", "token": credential_of(number)}}, port, scheme)
        for number, port in enumerate(buyers.ports)
    ]
    return [(each.ping.endpoint.prepare(occasion, 0), each.ping.answers.read) for each in dialects]


def _case(
    name: str,
    scheme: str,
    transport: Transport,
    pings: Sequence[tuple[PreparedRequest, Callable[..., PingReply]]],
    in_flight: int,
) -> Case:
    sent = [pings[number % len(pings)] for number in range(in_flight)]

    async def measure(loops: int, stopwatch: Stopwatch) -> None:
        with stopwatch.running():
            for _ in range(loops):
                replies = await _all([transport.request(*ping) for ping in sent])
        for each in replies:
            if not isinstance(each, Quote):
                raise BenchmarkError(f"the transport {name} got {each} instead of a bid")

    where = "TLS" if scheme == "https" else "plain"
    return Case(
        f"transport.{name}.{where.lower()}.{in_flight}",
        f"ping by {name}, {where}, {in_flight} in flight",
        measure,
        per_loop=in_flight,
    )


async def _all(futures: Sequence[asyncio.Future[PingReply]]) -> list[PingReply]:
    """The results, with one wait for all as in the fan-out: no task, no timer for each."""
    left = len(futures)
    done = asyncio.get_running_loop().create_future()

    def answered(_: asyncio.Future[PingReply]) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set_result(None)

    for future in futures:
        future.add_done_callback(answered)
    await done
    return [future.result() for future in futures]
