"""Looking up host names: a silent name server holds up nobody else."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from buyers.resolver import FRESH_S, RETRY_S, STALE_S, CachingResolver
from tests.eventually import eventually


@dataclass
class Names:
    """Name servers: hosts in ``silent`` are not answered for before ``released`` is set."""

    silent: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)
    asked: Counter[str] = field(default_factory=Counter)
    addresses: tuple[str, ...] = ("192.0.2.1",)
    now: float = 0.0

    def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        self.asked[host] += 1
        if host in self.silent:
            assert self.released.wait(10)
        if host in self.missing:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        kind = options["type"]
        return [(socket.AF_INET, kind, 6, "", (address, port)) for address in self.addresses]


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.released.set()


@pytest_asyncio.fixture
async def resolver(names: Names) -> AsyncIterator[CachingResolver]:
    resolver = CachingResolver(names, lambda: names.now)
    yield resolver
    await resolver.close()


async def test_silent_name_servers_hold_up_no_other_name(
    names: Names, resolver: CachingResolver
) -> None:
    names.silent = {f"silent-{number}.example" for number in range(20)}
    waiting = [asyncio.create_task(_hosts(resolver, host)) for host in names.silent]
    await eventually(lambda: names.asked.total() == 20)
    async with asyncio.timeout(5):
        assert await _hosts(resolver, "buyer.example") == ["192.0.2.1"]
    assert not any(task.done() for task in waiting)
    names.released.set()
    assert await asyncio.gather(*waiting) == [["192.0.2.1"]] * 20


async def test_all_who_ask_for_a_name_share_one_look_up(
    names: Names, resolver: CachingResolver
) -> None:
    names.silent = {"slow.example"}
    waiting = [asyncio.create_task(_hosts(resolver, "slow.example")) for _ in range(50)]
    await eventually(lambda: names.asked.total() > 0)
    waiting[0].cancel()
    names.released.set()
    assert await asyncio.gather(*waiting[1:]) == [["192.0.2.1"]] * 49
    assert names.asked["slow.example"] == 1
    assert waiting[0].cancelled()


async def test_a_fresh_answer_is_used_again(names: Names, resolver: CachingResolver) -> None:
    await _hosts(resolver, "buyer.example")
    names.now = FRESH_S - 1
    await _hosts(resolver, "buyer.example")
    assert names.asked["buyer.example"] == 1


async def test_an_old_answer_is_used_while_it_is_looked_up_again(
    names: Names, resolver: CachingResolver
) -> None:
    await _hosts(resolver, "buyer.example")
    names.now, names.silent, names.addresses = FRESH_S, {"buyer.example"}, ("192.0.2.9",)
    assert [await _hosts(resolver, "buyer.example") for _ in range(3)] == [["192.0.2.1"]] * 3
    names.released.set()

    async def renewed() -> bool:
        return await _hosts(resolver, "buyer.example") == ["192.0.2.9"]

    await eventually(renewed)
    assert names.asked["buyer.example"] == 2


async def test_a_failed_renewal_is_tried_again_after_a_pause_until_the_answer_is_too_old(
    names: Names, resolver: CachingResolver
) -> None:
    await _hosts(resolver, "buyer.example")
    names.now, names.missing = FRESH_S, {"buyer.example"}
    await _hosts(resolver, "buyer.example")
    await eventually(lambda: not resolver._running)
    assert await _hosts(resolver, "buyer.example") == ["192.0.2.1"]
    assert names.asked["buyer.example"] == 2
    names.now += RETRY_S
    await _hosts(resolver, "buyer.example")
    await eventually(lambda: names.asked["buyer.example"] == 3)
    await eventually(lambda: not resolver._running)
    names.now = STALE_S
    with pytest.raises(socket.gaierror):
        await _hosts(resolver, "buyer.example")


async def test_a_name_that_does_not_exist_is_an_error_for_everyone_who_asked(
    names: Names, resolver: CachingResolver
) -> None:
    names.missing = {"gone.example"}
    asking = (_hosts(resolver, "gone.example") for _ in range(3))
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in found] == [socket.gaierror] * 3


async def test_an_answer_without_addresses_is_an_error(
    names: Names, resolver: CachingResolver
) -> None:
    names.addresses = ()
    with pytest.raises(socket.gaierror):
        await _hosts(resolver, "empty.example")


async def test_the_addresses_take_turns(names: Names, resolver: CachingResolver) -> None:
    names.addresses = ("192.0.2.1", "192.0.2.2")
    firsts = {(await _hosts(resolver, "buyer.example"))[0] for _ in range(2)}
    assert firsts == set(names.addresses)


async def test_closing_waits_for_no_name_server(names: Names, resolver: CachingResolver) -> None:
    names.silent = {"silent.example"}
    waiting = asyncio.create_task(_hosts(resolver, "silent.example"))
    await eventually(lambda: names.asked.total() > 0)
    async with asyncio.timeout(5):
        await resolver.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "resolver")


async def test_a_real_name_has_its_port_and_numeric_addresses() -> None:
    resolver = CachingResolver()
    found = await resolver.resolve("localhost", 8080, socket.AF_UNSPEC)
    assert {each["host"] for each in found} <= {"127.0.0.1", "::1"}
    assert {each["port"] for each in found} == {8080}
    await resolver.close()


async def _hosts(resolver: CachingResolver, host: str) -> list[str]:
    return [each["host"] for each in await resolver.resolve(host, 443, socket.AF_UNSPEC)]
