"""Comparators as processes, ready to be asked, or named as skipped with the reason."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchmarkError
from benchmarks.peers.comparator import (
    Comparator,
    Contestant,
    Place,
    Skipped,
    UnavailableError,
)
from benchmarks.peers.toolchains import last_complaint
from benchmarks.stack import Buyers, ManagedProcess
from benchmarks.stack.buyer_options import credential_of
from benchmarks.stack.marketplace import asked_offer
from benchmarks.stack.parts import free_port

PING_TIMEOUT_MS: Final = 5000
"""Long enough for the slowest, so that nobody gains by giving up on buyers."""

LISTENS_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.05

Tell = Callable[[str], None]


@asynccontextmanager
async def running_comparators(
    comparators: Sequence[Comparator], folder: Path, buyers: Buyers, tell: Tell
) -> AsyncIterator[tuple[list[Contestant], list[Skipped]]]:
    """Those that could be started, and those that could not."""
    started: list[Contestant] = []
    skipped: list[Skipped] = []
    async with AsyncExitStack() as stack:
        for each in comparators:
            tell(f"starting {each.title}")
            try:
                started.append(await stack.enter_async_context(_running(each, folder, buyers)))
            except UnavailableError as error:
                skipped.append(Skipped(each.name, each.title, str(error)))
        yield started, skipped


@asynccontextmanager
async def _running(
    comparator: Comparator, folder: Path, buyers: Buyers
) -> AsyncIterator[Contestant]:
    place = Place(folder / comparator.name, free_port())
    place.folder.mkdir()
    command = await comparator.build(place)
    process = await _start(comparator, command, place, _environment(comparator, place, buyers))
    try:
        await _until_listening(process, place.port)
        yield Contestant(comparator.name, comparator.title, place.port, process.pid)
    finally:
        await process.stop()


def _environment(comparator: Comparator, place: Place, buyers: Buyers) -> dict[str, str]:
    offers = [
        {
            "offer": asked_offer(number),
            "url": f"http://127.0.0.1:{port}/ping",
            "headers": {"Authorization": f"Bearer {credential_of(number)}"},
        }
        for number, port in enumerate(buyers.ports)
    ]
    return {
        **os.environ,
        **comparator.environment,
        "NO_PROXY": "127.0.0.1",
        "PORT": str(place.port),
        "OFFERS": json.dumps(offers),
        "TIMEOUT_MS": str(PING_TIMEOUT_MS),
    }


async def _start(
    comparator: Comparator, command: Sequence[str], place: Place, environment: dict[str, str]
) -> ManagedProcess:
    log = place.folder / "server.log"
    try:
        return await ManagedProcess.start(comparator.title, command, log, environment=environment)
    except BenchmarkError as error:
        raise UnavailableError(str(error)) from error


async def _until_listening(process: ManagedProcess, port: int) -> None:
    """Raises UnavailableError when the process ends or does not listen in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LISTENS_WITHIN_S
    while not await _listens(port):
        try:
            process.check()
        except BenchmarkError:
            raise UnavailableError(f"does not start: {last_complaint(process.tail())}") from None
        if loop.time() > until:
            raise UnavailableError(f"did not listen within {LISTENS_WITHIN_S:.0f} s")
        await asyncio.sleep(_POLL_S)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
