"""Several machines on this one: network namespaces, or else loopback addresses."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import needed, program

SERVICES = ("one", "two")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
_DATABASE = "database"

_LINKS: tuple[tuple[str | None, str], ...] = (
    *((None, name) for name in (*SERVICES, _DATABASE)),
    *((name, _DATABASE) for name in SERVICES),
)
"""Each between two machines; None is here. Their numbers are in their addresses."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where something runs. ``prefix`` stands before its commands."""

    prefix: tuple[str, ...]
    address: str
    database: str
    """The database's address, as seen from here."""


@dataclass(frozen=True, slots=True)
class Network:
    """Two machines for services and one for their database, each with a link of its own to it."""

    kind: str
    services: dict[str, Machine]
    database: Machine
    here: str
    """The address of this test's own process, as seen from everywhere."""
    listen: str
    """Where buyers have to listen to be reached from everywhere."""

    @property
    def can_be_cut(self) -> bool:
        """Whether there are links at all."""
        return bool(self.database.prefix)

    async def cut(self, name: str) -> None:
        """Take down the link between a service and the database, and no other."""
        await _run(*self.services[name].prefix, "ip", "link", "set", "database", "down")

    async def mend(self, name: str) -> None:
        """Bring it up again."""
        await _run(*self.services[name].prefix, "ip", "link", "set", "database", "up")


@asynccontextmanager
async def a_network() -> AsyncIterator[Network]:
    """Namespaces of our own where they can be made, else addresses of the loopback interface."""
    if not await _can_have_namespaces():
        yield _loopback()
        return
    tag, octet = f"pp{os.getpid() % 100_000}", 64 + os.getpid() % 128
    names = {name: f"{tag}-{name}" for name in (*SERVICES, _DATABASE)}
    try:
        for name in names.values():
            await _ip("netns", "add", name)
            await _ip("-n", name, "link", "set", "lo", "up")
        for number, (near, far) in enumerate(_LINKS):
            await _link(names, near, far, f"{tag}{number}", f"10.{octet}.{number}")
        for number, name in enumerate(SERVICES):
            route = ("route", "add", "default", "via", f"10.{octet}.{number}.1")
            await _ip("-n", names[name], *route)
        yield _namespaces(names, octet)
    finally:
        for name in names.values():
            # Its links go with it.
            await _ip("netns", "delete", name, check=False)


@asynccontextmanager
async def a_namespace(name: str, number: int) -> AsyncIterator[tuple[str, str, str]]:
    """A namespace linked to here: its path, its address and ours. Skips without root.

    ``name``: at most four letters; ``number``: from 9, one's own, for it is in its addresses.
    """
    needed(await _can_have_namespaces(), "a network namespace of its own takes root")
    tag, network = f"pp{os.getpid() % 100_000}{name}", f"10.{64 + os.getpid() % 128}.{number}"
    try:
        await _ip("netns", "add", tag)
        await _ip("-n", tag, "link", "set", "lo", "up")
        await _link({name: tag}, None, name, tag, network)
        await _ip("-n", tag, "route", "add", "default", "via", f"{network}.1")
        yield f"/run/netns/{tag}", f"{network}.2", f"{network}.1"
    finally:
        await _ip("netns", "delete", tag, check=False)


@asynccontextmanager
async def own_control_groups(name: str) -> AsyncIterator[None]:
    """Of the control groups ``name`` what is made meanwhile is removed, where nothing runs."""
    before = _control_groups(name)
    try:
        yield
    finally:
        for folder in sorted(_control_groups(name) - before, reverse=True):
            with suppress(OSError):
                folder.rmdir()


def _control_groups(name: str) -> set[Path]:
    """The groups of that name and all below, of the one hierarchy or of each controller's."""
    tops = (CONTROL_GROUPS / name, *CONTROL_GROUPS.glob(f"*/{name}"))
    return {folder for top in tops if top.is_dir() for folder in (top, *top.rglob("*/"))}


def _namespaces(names: dict[str, str], octet: int) -> Network:
    services = {
        name: Machine(
            prefix=_inside(names[name]),
            address=f"10.{octet}.{number}.2",
            database=f"10.{octet}.{number + 3}.2",
        )
        for number, name in enumerate(SERVICES)
    }
    database = Machine(_inside(names[_DATABASE]), f"10.{octet}.2.2", f"10.{octet}.2.2")
    return Network("network namespaces", services, database, f"10.{octet}.2.1", "0.0.0.0")


def _loopback() -> Network:
    services = {
        name: Machine((), f"127.0.0.{number}", "127.0.0.4")
        for number, name in enumerate(SERVICES, start=2)
    }
    database = Machine((), "127.0.0.4", "127.0.0.4")
    kind = "loopback addresses, for namespaces can't be made here"
    return Network(kind, services, database, "127.0.0.1", "127.0.0.1")


async def _link(names: dict[str, str], near: str | None, far: str, name: str, network: str) -> None:
    """A pair of interfaces; in a namespace they are named after the other end."""
    await _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
    ends = ((near, far, f"{name}a", 1), (far, near, f"{name}b", 2))
    for place, other, interface, host in ends:
        inside: tuple[str, ...] = ()
        called = interface
        if place is not None:
            called = other or "front"
            inside = ("-n", names[place])
            await _ip("link", "set", interface, "netns", names[place], "name", called)
        await _ip(*inside, "address", "add", f"{network}.{host}/24", "dev", called)
        await _ip(*inside, "link", "set", called, "up")


def _inside(namespace: str) -> tuple[str, ...]:
    return (str(program("ip")), "netns", "exec", namespace)


async def _can_have_namespaces() -> bool:
    if os.geteuid() != 0:
        return False
    probe = f"pp{os.getpid() % 100_000}-probe"
    made = await _ip("netns", "add", probe, check=False) == 0
    return made and await _ip("netns", "delete", probe, check=False) == 0


async def _ip(*arguments: str, check: bool = True) -> int:
    return await _run(str(program("ip")), *arguments, check=check)


async def _run(*command: str, check: bool = True) -> int:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert not check or process.returncode == 0, f"{' '.join(command)}: {output.decode()}"
    return process.returncode or 0


def command_on(machine: Machine, *command: str) -> Sequence[str]:
    """The command as it is run there."""
    return (*machine.prefix, *command)
