"""Docker's engine with Compose, in a network of its own."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.apart import apart, first_of
from tests.e2e.network import a_namespace, own_control_groups
from tests.e2e.programs import program, tool
from tests.e2e.shell import shell
from tests.eventually import eventually

START_WITHIN_S = 30.0
STOP_WITHIN_S = 60.0
_START = """
mkdir -p /etc/docker
mount -t tmpfs none /etc/docker
exec "$@"
"""
"""It writes a key there, wherever its folders are."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One that runs.

    Its published ports are found at ``address``; its containers find this process at ``here``.
    """

    folder: Path
    address: str
    here: str
    daemon: int
    """The number of its process here; its own containers are known by other numbers there."""

    async def run(self, commands: str, folder: Path | None = None) -> str:
        """What shell commands print, run in ``folder`` with this engine as Docker's."""
        return await shell(commands, folder or self.folder, self._environment)

    async def kill(self, process: int) -> None:
        """Kill a process by the number that the engine tells of it."""
        assert process > 1, "it does not run"
        there = f"nsenter --target {self.daemon} --pid --mount"
        await self.run(f"{there} sh -c 'kill -KILL {process}'")

    @property
    def _environment(self) -> dict[str, str]:
        socket = self.folder / "docker.sock"
        return {"DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": str(self.folder)}


@asynccontextmanager
async def an_engine(folder: Path) -> AsyncIterator[Engine]:
    """An engine without images or containers; what it keeps is removed at the end."""
    daemon = ("sh", "-ec", _START, "sh", program("dockerd"))
    (folder / "cli-plugins").mkdir()
    (folder / "cli-plugins" / "docker-compose").symlink_to(tool("docker-compose"))
    (folder / "daemon.json").write_text("{}")
    places = ("--data-root", folder / "data", "--exec-root", folder / "exec")
    settings = ("--config-file", folder / "daemon.json", "--pidfile", folder / "pid")
    socket = folder / "docker.sock"
    command = (*daemon, *settings, *places, "--host", f"unix://{socket}")
    async with (
        own_control_groups("docker"),
        a_namespace("dock", 9) as (namespace, address, here),
    ):
        try:
            async with apart(namespace, command, folder / "dockerd.log", {}) as process:
                await eventually(socket.exists, within_s=START_WITHIN_S, every_s=0.1)
                engine = Engine(folder, address, here, first_of(process))
                await engine.run("docker version")
                yield engine
                # By itself it stops its containers first.
                os.kill(engine.daemon, signal.SIGTERM)
                await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        finally:
            for each in ("data", "debian"):
                shutil.rmtree(folder / each, ignore_errors=True)
