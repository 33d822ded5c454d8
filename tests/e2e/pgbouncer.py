"""The real PgBouncer, run with the file of ``deploy/`` and other addresses."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from configparser import ConfigParser
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.e2e.programs import program
from tests.eventually import eventually
from tests.service_process import free_port

EXAMPLE = Path(__file__).parents[2] / "deploy" / "pgbouncer" / "pgbouncer.ini"
STOP_WITHIN_S = 10.0


@dataclass(slots=True)
class PgBouncer:
    """One that lends connections to ``dsn``'s database; ``start`` again after ``kill``.

    The server listens at ``address``.
    """

    folder: Path
    dsn: str
    address: str
    port: int
    changes: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None

    @property
    def pooled_dsn(self) -> str:
        """The URL of the database by way of this."""
        parts = urlsplit(self.dsn)
        return f"postgresql://{parts.username}@127.0.0.1:{self.port}{parts.path}"

    @property
    def clients(self) -> int:
        """How many connections it has from others."""
        assert self.process is not None
        opened = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(each.status == "ESTABLISHED" and each.laddr.port == self.port for each in opened)

    async def start(self) -> None:
        """Start it and wait until it listens."""
        file = self.folder / "pgbouncer.ini"
        with file.open("w") as opened:
            self._configuration().write(opened)
        account = ("-u", "nobody") if os.geteuid() == 0 else ()
        with (self.folder / "pgbouncer.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(program("pgbouncer"), *account, file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await eventually(self._listens, within_s=STOP_WITHIN_S)

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(STOP_WITHIN_S):
            await self.process.wait()

    def _configuration(self) -> ConfigParser:
        # No interpolation: addresses may hold a percent sign.
        parser = ConfigParser(interpolation=None)
        assert parser.read(EXAMPLE)
        users = self.folder / "userlist.txt"
        users.write_text(f'"{urlsplit(self.dsn).username}" ""\n')
        (target,) = parser["databases"]
        query = parser["databases"][target].partition(" connect_query=")[2]
        name = urlsplit(self.dsn).path.removeprefix("/")
        del parser["databases"][target]
        parser["databases"][name] = (
            f"host={self.address} port=5432 dbname={name} connect_query={query}"
        )
        changes = {"listen_port": str(self.port), "auth_type": "trust", "auth_file": str(users)}
        parser["pgbouncer"].update({**changes, **self.changes})
        return parser

    async def _listens(self) -> bool:
        assert self.process is not None
        said = (self.folder / "pgbouncer.log").read_text(errors="replace")
        assert self.process.returncode is None, said
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def a_pgbouncer(
    folder: Path, dsn: str, address: str, changes: Mapping[str, str]
) -> AsyncIterator[PgBouncer]:
    """A running PgBouncer with these settings changed; it is ended whatever happens."""
    await asyncio.to_thread(folder.mkdir, mode=0o755)
    pooler = PgBouncer(folder, dsn, address, free_port(), changes)
    try:
        await pooler.start()
        yield pooler
    finally:
        if pooler.process is not None:
            await pooler.kill()
