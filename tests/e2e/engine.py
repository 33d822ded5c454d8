"""Docker's engine with Compose, in a network of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.network import a_namespace, remove_control_groups
from tests.e2e.programs import program, tool
from tests.e2e.shell import shell
from tests.eventually import eventually

START_WITHIN_S = 30.0
STOP_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Engine:
    """One that runs.

    Its published ports are found at ``address``; its containers find this process at ``here``.
    """

    folder: Path
    address: str
    here: str

    async def run(self, commands: str, folder: Path | None = None) -> str:
        """What shell commands print, run in ``folder`` with this engine as Docker's."""
        return await shell(commands, folder or self.folder, self._environment)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "docker.sock"

    @property
    def _environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(self.folder)}


@asynccontextmanager
async def an_engine(folder: Path) -> AsyncIterator[Engine]:
    """An engine without images or containers; what it keeps is removed at the end."""
    with_us = (program("setpriv"), "--pdeathsig", "TERM", program("nsenter"))
    daemon = program("dockerd")
    (folder / "cli-plugins").mkdir()
    (folder / "cli-plugins" / "docker-compose").symlink_to(tool("docker-compose"))
    (folder / "daemon.json").write_text("{}")
    places = ("--data-root", folder / "data", "--exec-root", folder / "exec")
    settings = ("--config-file", folder / "daemon.json")
    async with a_namespace("dock", 9) as (namespace, address, here):
        engine = Engine(folder, address, here)
        files = ("--pidfile", folder / "pid", "--host", f"unix://{engine.socket}")
        with (folder / "dockerd.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(*with_us, f"--net={namespace}", daemon, *settings, *places, *files),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            await eventually(engine.socket.exists, within_s=START_WITHIN_S, every_s=0.1)
            await engine.run("docker version")
            yield engine
        finally:
            await _end(process)
            shutil.rmtree(folder / "data", ignore_errors=True)
            remove_control_groups("docker")


async def _end(daemon: asyncio.subprocess.Process) -> None:
    """By itself it stops its containers first."""
    if daemon.returncode is None:
        daemon.terminate()
    try:
        await asyncio.wait_for(daemon.wait(), STOP_WITHIN_S)
    except TimeoutError:
        daemon.kill()
        raise
