"""A way to a PostgreSQL server that breaks when a commit was made and nobody knows."""

import asyncio
from urllib.parse import parse_qs, urlsplit, urlunsplit


class LosingLink:
    """Forwards to the server of a URL; on demand one reply never comes back.

    Those who use it close their connections before it is stopped.
    """

    def __init__(self, dsn: str) -> None:
        self._parts = urlsplit(dsn)
        self._marker: bytes | None = None
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.lost = 0

    async def start(self) -> str:
        """The URL of the same database through this link."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._parts.netloc.rpartition("@")[0] or "postgres"
        return urlunsplit(self._parts._replace(netloc=f"{user}@127.0.0.1:{port}", query=""))

    async def stop(self) -> None:
        """Listen no more, and wait until the last connection has gone."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await asyncio.gather(*self._links)

    def lose_next_commit(self) -> None:
        """The next commit reaches the server, its confirmation goes nowhere."""
        self.lose_reply_to(b"COMMIT")

    def lose_reply_to(self, marker: bytes) -> None:
        """The next message with these bytes reaches the server, what it says goes nowhere."""
        self._marker = marker

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await self._reach_server()
        losing = asyncio.Event()
        back = asyncio.create_task(self._pump_back(server_reader, writer, losing))
        self._links.add(back)
        while data := await reader.read(65_536):
            if self._marker is not None and self._marker in data:
                self._marker = None
                losing.set()
            server_writer.write(data)
        server_writer.close()
        await back

    async def _pump_back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            if losing.is_set():
                self.lost += 1
                break
            writer.write(data)
        writer.close()

    async def _reach_server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        asked = parse_qs(self._parts.query)
        host = asked.get("host", [self._parts.hostname or "127.0.0.1"])[0]
        port = int(asked.get("port", [str(self._parts.port or 5432)])[0])
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)
