"""The transports' suite runs on both event loops: they differ where connections break."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"stdlib": asyncio.new_event_loop}
    if item.path.name.startswith("test_transport"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops
