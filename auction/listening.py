"""Serving an application on an address of its own, or on sockets that others listen on, too."""

from collections.abc import Iterable
from socket import socket

from aiohttp import web

from auction.web.runner import ProblemRunner
from auction.web.sharing import BACKLOG, Share, SharedSite

CONNECTIONS_CLOSE_S = 0.5
"""How long connections may take to close once their requests were answered or given up."""


async def listen(application: web.Application, host: str, port: int) -> tuple[ProblemRunner, str]:
    """Serve on an address of our own, and its URL."""
    runner = ProblemRunner(application, shutdown_timeout_s=CONNECTIONS_CLOSE_S)
    await runner.setup()
    await _start_sites(runner, [web.TCPSite(runner, host, port, backlog=BACKLOG)])
    bound = runner.addresses[0][1]
    return runner, f"http://{host}:{bound}"


async def listen_on(
    application: web.Application, sockets: Iterable[socket], share: Share
) -> ProblemRunner:
    """Serve on sockets that are bound, as one of several processes."""
    runner = ProblemRunner(application, shutdown_timeout_s=CONNECTIONS_CLOSE_S)
    await runner.setup()
    await _start_sites(runner, [SharedSite(runner, each, share) for each in sockets])
    return runner


async def _start_sites(runner: ProblemRunner, sites: Iterable[web.BaseSite]) -> None:
    try:
        for site in sites:
            await site.start()
    except BaseException:
        await runner.cleanup()
        raise
