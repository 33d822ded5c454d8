"""Looking up buyers' host names, so that a silent name server holds up nobody else's."""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

FRESH_S: Final = 30.0
"""How long an answer is used before it is looked up again."""

STALE_S: Final = 300.0
"""How long an answer is used while looking it up again fails or takes its time."""

RETRY_S: Final = 1.0
"""How long to wait after a look-up in the background that failed."""

THREADS: Final = 32
"""How many names may be looked up at once."""

Family: TypeAlias = socket.AddressFamily
GetAddrInfo: TypeAlias = Callable[..., list[tuple[Any, ...]]]
"""``socket.getaddrinfo``, or what stands in for it."""

_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    family: int
    proto: int


@dataclass(slots=True)
class _Entry:
    addresses: deque[_Address]
    seen_at: float
    refresh_at: float


class CachingResolver(AbstractResolver):
    """Answers from memory where it can; one look-up per name at a time, in a thread of its own.

    The threads are daemons: a look-up that hangs doesn't hold up the end of the process, which it
    would in an executor. ``getaddrinfo`` stands in for the system's; ``monotonic`` gives seconds.
    """

    def __init__(
        self,
        getaddrinfo: GetAddrInfo | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        threads: int = THREADS,
    ) -> None:
        self._getaddrinfo = getaddrinfo
        self._monotonic = monotonic
        self._free = asyncio.Semaphore(threads)
        self._entries: dict[tuple[str, Family], _Entry] = {}
        self._running: dict[tuple[str, Family], asyncio.Task[_Entry]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: Family = socket.AF_INET
    ) -> list[ResolveResult]:
        """The host's addresses, another one first each time. Raises OSError, UnicodeError."""
        key, now = (host, family), self._monotonic()
        entry = self._entries.get(key)
        if entry is None or now - entry.seen_at >= STALE_S:
            # Shielded: others may wait for the same answer.
            entry = await asyncio.shield(self._look_up(key))
        elif now >= entry.refresh_at:
            self._look_up(key)
        entry.addresses.rotate(-1)
        return [
            ResolveResult(
                hostname=host,
                host=address.host,
                port=port,
                family=address.family,
                proto=address.proto,
                flags=_NUMERIC,
            )
            for address in entry.addresses
        ]

    async def close(self) -> None:
        """Wait for no answer any more."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def _look_up(self, key: tuple[str, Family]) -> "asyncio.Task[_Entry]":
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda done: self._asked(key, done))
        return task

    async def _ask(self, key: tuple[str, Family]) -> _Entry:
        async with self._free:
            answer = asyncio.get_running_loop().create_future()
            work = (answer, self._getaddrinfo or socket.getaddrinfo, *key)
            threading.Thread(target=_work, args=work, name="resolver", daemon=True).start()
            addresses: list[_Address] = await answer
        now = self._monotonic()
        entry = self._entries[key] = _Entry(deque(addresses), now, now + FRESH_S)
        return entry

    def _asked(self, key: tuple[str, Family], done: "asyncio.Task[_Entry]") -> None:
        del self._running[key]
        # Asking for the exception keeps it from being reported where nobody waits.
        failed = not done.cancelled() and done.exception() is not None
        if failed and key in self._entries:
            self._entries[key].refresh_at = self._monotonic() + RETRY_S


def _work(
    answer: "asyncio.Future[list[_Address]]", getaddrinfo: GetAddrInfo, host: str, family: Family
) -> None:
    addresses: list[_Address] = []
    error: Exception | None = None
    try:
        addresses = _addresses(getaddrinfo, host, family)
    except Exception as raised:  # noqa: BLE001 - whatever it is, who waits is to get it
        error = raised
    # The loop is closed when the service has ended meanwhile.
    with suppress(RuntimeError):
        answer.get_loop().call_soon_threadsafe(_settle, answer, addresses, error)


def _addresses(getaddrinfo: GetAddrInfo, host: str, family: Family) -> list[_Address]:
    found = getaddrinfo(host, 0, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return [_Address(_numeric(address), kind, protocol) for kind, _, protocol, _, address in found]


def _numeric(address: tuple[Any, ...]) -> str:
    """The address as text, with its scope where it has one."""
    scoped = len(address) == 4 and address[3]
    if scoped:
        return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return str(address[0])


def _settle(
    answer: "asyncio.Future[list[_Address]]", addresses: list[_Address], error: Exception | None
) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(addresses)
    else:
        answer.set_exception(error)
