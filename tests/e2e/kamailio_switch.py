"""Kamailio with the configuration of ``deploy/kamailio``, as a process of its own."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import program
from tests.e2e.sipp import HOST, free_udp_port
from tests.eventually import eventually

DEPLOYED = Path(__file__).parents[2] / "deploy" / "kamailio"
CONFIGURATION = DEPLOYED / "kamailio.cfg"
NAME = "kamailio-1"
STOP_WITHIN_S = 15.0
ANSWER_WITHIN_S = 60.0
TRUNK = f"1 {HOST} 32 0 pub-17\n"
PROBE = (
    "OPTIONS sip:{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{own};branch=z9hG4bK-{own}\r\n"
    "From: <sip:probe@{host}>;tag=1\r\nTo: <sip:{host}:{port}>\r\nCall-ID: probe-{own}\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(slots=True)
class KamailioSwitch:
    """One kamailio; ``start`` may be called again after ``kill``."""

    folder: Path
    port: int
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "kamailio.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(str(program("kamailio")), "-DD", "-E", "-f", str(CONFIGURATION)),
                *("-Y", str(self.folder), "-m", "64", "-M", "24"),
                env={**os.environ, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await eventually(self._answers, within_s=30.0, every_s=0.05)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.log
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((HOST, 0))
            probe.settimeout(0.2)
            own = probe.getsockname()[1]
            request = PROBE.format(host=HOST, port=self.port, own=own)
            try:
                probe.sendto(request.encode(), (HOST, self.port))
                return probe.recv(2048).startswith(b"SIP/2.0 200")
            except OSError:
                return False

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(STOP_WITHIN_S):
            return await self.process.wait()

    async def kill(self) -> None:
        """SIGKILL to it and to every process that it has started."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        async with asyncio.timeout(STOP_WITHIN_S):
            await self.process.wait()

    async def ask(self, *words: str) -> str:
        """What it answers to a command of its operator."""
        return await self._command(b"", *words)

    async def set_live(self, ids: Iterable[str]) -> None:
        """Let it believe that it has these calls."""
        lines = [f"htable.seti live {call_id} 1\n" for call_id in ids]
        told = await self._command("".join(lines).encode())
        assert told.count("Ok. Key set") == len(lines), told

    async def _command(self, typed: bytes, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(str(program("kamcmd")), "-s", f"unix:{self.folder}/kamailio_ctl", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(ANSWER_WITHIN_S):
            told, _ = await process.communicate(typed)
        assert process.returncode == 0, told
        return told.decode()

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.folder / "kamailio.log").read_text(errors="replace")


def environment(folder: Path, port: int, **settings: str) -> dict[str, str]:
    """The settings of a switch on this port; ``settings`` replace its defaults."""
    folder.mkdir(exist_ok=True)
    trunks = folder / "trunks.list"
    trunks.write_text(TRUNK)
    return {
        "PINGPOST_URL": "http://127.0.0.1:9",
        "PINGPOST_TOKEN": "none",
        "SWITCH_NAME": NAME,
        "SWITCH_LISTEN": f"udp:{HOST}:{port}",
        "SWITCH_TRUNKS": str(trunks),
        "SWITCH_GATEWAY": f"{HOST}:9",
        "SWITCH_FALLBACK": f"sip:desk@{HOST}:9",
        "SWITCH_WORKERS": "4",
        **settings,
    }


@asynccontextmanager
async def a_kamailio(folder: Path, **settings: str) -> AsyncIterator[KamailioSwitch]:
    """A running switch on a free port; it is stopped at the end whatever happens."""
    port = free_udp_port()
    switch = KamailioSwitch(folder, port, environment(folder, port, **settings))
    try:
        await switch.start()
        yield switch
    finally:
        if switch.process is not None and switch.process.returncode is None:
            await switch.stop()
