"""The transports' suite runs on both event loops: they differ where connections break."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from buyers.transport import Transport
from tests.contract.buying import Open, open_aiohttp, open_native


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"stdlib": asyncio.new_event_loop}
    if item.path.name.startswith("test_transport"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture(params=[open_aiohttp, open_native], ids=["aiohttp", "native"])
def opening(request: pytest.FixtureRequest) -> Open:
    """Opens a transport of each kind."""
    opener: Open = request.param
    return opener


@pytest.fixture
async def transport(opening: Open) -> AsyncIterator[Transport]:
    """A transport that may reach loopback."""
    async with opening() as opened:
        yield opened
