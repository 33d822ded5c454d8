"""Simulated buyers on real sockets."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from buyers.simulator import replies
from buyers.simulator.buyer import Handler, SimulatedBuyer
from buyers.simulator.connection import BuyerConnection
from buyers.simulator.control import control
from buyers.simulator.counts import BuyerCounts, PortCounts, total
from buyers.simulator.models import BuyerScript, Control, Script, Tls
from buyers.simulator.replies import Reply
from buyers.simulator.request import Request

_BACKLOG = 1024
_CLOSING_S = 5
_NOT_FOUND = replies.json_response(404, {"error": "no buyer listens on this path"})


class Port:
    """One listening port with the buyers that share it."""

    def __init__(
        self, script: Script, buyers: Iterable[SimulatedBuyer], others: Iterable["Port"] = ()
    ) -> None:
        """Control ``buyers`` here; ``route`` makes them answer here too.

        The counts of ``others`` are shown with those of this port.
        """
        self.max_request_bytes = script.max_request_bytes
        self.counts = PortCounts()
        self._shown = [self.counts, *(other.counts for other in others)]
        self._max_connections = script.max_connections
        self._buyers = {buyer.name: buyer for buyer in buyers}
        self._connections: set[BuyerConnection] = set()
        self._deserted = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._routes: dict[str, Handler] = {}

    def route(self, buyer: SimulatedBuyer) -> None:
        """Send the paths of a buyer to it."""
        self._routes[buyer.script.ping.path] = buyer.ping
        self._routes[buyer.script.post.path] = buyer.post

    async def open(self, address: tuple[str, int], tls: Tls | None) -> tuple[str, int]:
        """Listen; the address with the port really taken. Raises OSError when it can't be had."""
        loop = asyncio.get_running_loop()
        host, port = address
        self._server = await loop.create_server(
            lambda: BuyerConnection(self), host, port, ssl=_context(tls), backlog=_BACKLOG
        )
        taken: int = self._server.sockets[0].getsockname()[1]
        return host, taken

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.wait_for(self._server.wait_closed(), _CLOSING_S)
        if self._connections:
            await asyncio.wait_for(self._deserted.wait(), _CLOSING_S)

    def connected(self, connection: BuyerConnection) -> bool:
        """Count a connection in, unless there are too many."""
        self._connections.add(connection)
        self._deserted.clear()
        self.counts.connections += 1
        self.counts.open_connections += 1
        too_many = len(self._connections) > self._max_connections
        self.counts.refused_connections += too_many
        return not too_many

    def disconnected(self, connection: BuyerConnection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        if not self._connections:
            self._deserted.set()
        self.counts.open_connections -= 1

    def answer(self, request: Request) -> Reply:
        """What the buyer of this path says, or the control."""
        handler = self._routes.get(request.path)
        if handler is not None:
            return handler(request)
        reply = control(request, self._buyers, total(self._shown))
        if reply is None:
            self.counts.unknown_paths += 1
            return Reply(_NOT_FOUND)
        return reply

    def bad_request(self) -> None:
        """Count bytes that are no acceptable request."""
        self.counts.bad_requests += 1


class SimulatedBuyers:
    """All buyers of a script; an async context manager that listens from enter to exit.

    ``free_ports``: take any free port wherever the script names one; who shares one, still does.
    """

    def __init__(self, script: Script, *, free_ports: bool = False) -> None:
        """Prepare everything; nothing listens yet."""
        self._script = script
        self._free_ports = free_ports
        self._buyers = {buyer.name: SimulatedBuyer(buyer, script.seed) for buyer in script.buyers}
        self._ports: list[Port] = []
        self._addresses: dict[str, tuple[str, int]] = {}
        self._control: tuple[str, int] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The buyers in the script's order."""
        return tuple(self._buyers)

    @property
    def urls(self) -> dict[str, str]:
        """Base URL of each buyer, without a path."""
        return {name: self.url(name) for name in self._buyers}

    @property
    def control_url(self) -> str | None:
        """Base URL of the control port, None when the script has none."""
        return None if self._control is None else f"http://{_authority(self._control)}"

    def url(self, name: str) -> str:
        """Base URL of one buyer, without a path."""
        scheme = "http" if self.buyer(name).script.tls is None else "https"
        return f"{scheme}://{_authority(self._addresses[name])}"

    def port(self, name: str) -> int:
        """The port on which one buyer listens."""
        return self._addresses[name][1]

    def buyer(self, name: str) -> SimulatedBuyer:
        """One buyer, with its counts, its remembered posts and its recorded requests."""
        return self._buyers[name]

    def change(self, name: str, **change: object) -> None:
        """Replace parts of a buyer's ``ping``, ``post`` or ``auth``. Raises ScriptError."""
        self.buyer(name).change(change)

    def reset(self) -> None:
        """Let every buyer forget what it saw."""
        for buyer in self._buyers.values():
            buyer.reset()

    def counts(self) -> dict[str, BuyerCounts]:
        """The counts of all buyers, as ``GET /_counts`` of the control port words them."""
        return {name: buyer.counts.as_json() for name, buyer in self._buyers.items()}

    async def start(self) -> None:
        """Listen on every port. Raises OSError, with nothing left open, when one can't be had."""
        try:
            for buyers in self._groups():
                await self._open_port(buyers)
            if self._script.control is not None:
                await self._open_control(self._script.control)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every port and connection; the counts stay readable."""
        ports, self._ports = self._ports, []
        for port in ports:
            await port.close()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    def _groups(self) -> list[list[BuyerScript]]:
        """The buyers of each port."""
        groups: dict[object, list[BuyerScript]] = {}
        for buyer in self._script.buyers:
            key = self._script.address(buyer) if buyer.port else buyer.name
            groups.setdefault(key, []).append(buyer)
        return list(groups.values())

    async def _open_port(self, scripts: list[BuyerScript]) -> None:
        buyers = [self._buyers[script.name] for script in scripts]
        port = Port(self._script, buyers)
        for buyer in buyers:
            port.route(buyer)
        self._ports.append(port)
        address = await port.open(self._address(scripts[0]), scripts[0].tls)
        self._addresses |= {script.name: address for script in scripts}

    async def _open_control(self, control: Control) -> None:
        port = Port(self._script, self._buyers.values(), self._ports)
        self._ports.append(port)
        self._control = await port.open(self._address(control), None)

    def _address(self, place: BuyerScript | Control) -> tuple[str, int]:
        host, port = self._script.address(place)
        return host, 0 if self._free_ports else port


async def run_simulator(
    script: Script,
    *,
    ready: Callable[[SimulatedBuyers], None],
    stop: asyncio.Event | None = None,
) -> SimulatedBuyers:
    """Play a script until ``stop`` is set or the task is cancelled.

    ``ready`` is called once, when every port listens. The buyers are handed back for their counts.
    Raises OSError when a port can't be had.
    """
    async with SimulatedBuyers(script) as buyers:
        ready(buyers)
        await (stop or asyncio.Event()).wait()
    return buyers


def _authority(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _context(tls: Tls | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    return context
