"""sipp, as callers and as call centres."""

import asyncio
import csv
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import program
from tests.e2e.sip_plans import LONG_MS, SHORT_MS, Caller, Centre, pattern

SCENARIOS = Path(__file__).parent / "scenarios"
HOST = "127.0.0.1"
CALL_ID = f"%u-%p-{'0' * 60}@%s"
"""As long as those of many switches, so that texts become as long as they do there."""

_DATED = re.compile(r"(?=\d{4}-\d\d-\d\d\t\d\d:)")
_KEEP_ALIVE = "Automatic response mode for an unexpected"
PATTERNS = tuple(each for each in Centre if each is not Centre.ANSWERS)


def free_udp_port() -> int:
    """A port that nobody reads datagrams from right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of a scenario's log: what happened to whom, at which of sipp's milliseconds."""

    what: str
    caller: str
    at_ms: int


@dataclass(slots=True)
class Sipp:
    """A running sipp and the files that it leaves."""

    name: str
    folder: Path
    process: asyncio.subprocess.Process

    async def ended(self, within_s: float) -> int:
        """Its exit code: 0 when every call went as its scenario says."""
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def stop(self) -> None:
        """End it, if it has not ended by itself."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def moments(self) -> list[Moment]:
        """What its scenario logged of calls that were answered, in order."""
        path = self.folder / f"{self.name}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        words = [line.split() for line in lines if not line.startswith("called")]
        return [Moment(what, caller, int(float(at))) for what, caller, at in words]

    def called(self) -> list[str]:
        """Who called a call centre, in order."""
        path = self.folder / f"{self.name}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.rpartition("sip:")[2].rstrip("]") for line in lines]

    def invited(self) -> list[str]:
        """The INVITEs that came to a call centre, repetitions included, in order."""
        path = self.folder / f"{self.name}.messages"
        text = path.read_text().replace("\r", "") if path.exists() else ""
        heads = [each.partition("\n\n")[0] for each in text.split("\nINVITE ")[1:]]
        return [f"INVITE {head}" for head in heads]

    def statistics(self) -> dict[str, int]:
        """Its last line of statistics: calls that were made, succeeded and failed."""
        with (self.folder / f"{self.name}.csv").open(newline="") as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        names = {"made": "TotalCallCreated", "right": "SuccessfulCall(C)", "wrong": "FailedCall(C)"}
        return {name: int(last[column]) for name, column in names.items()}

    @property
    def errors(self) -> str:
        """What was not as the scenario says; it answers keep-alives without being told to."""
        path = self.folder / f"{self.name}.errors"
        text = path.read_text(errors="replace") if path.exists() else ""
        told = [each for each in _DATED.split(text)[1:] if _KEEP_ALIVE not in each]
        return "\n".join(told)


async def start_sipp(name: str, folder: Path, scenario: Path, *arguments: str) -> Sipp:
    """Start sipp with a scenario; it says on files what it did."""
    screen = (folder / f"{name}.screen").open("wb")
    with screen:
        process = await asyncio.create_subprocess_exec(
            *(str(program("sipp")), "-sf", str(scenario), "-i", HOST, "-nostdin", "-nr"),
            *("-trace_err", "-error_file", str(folder / f"{name}.errors")),
            *("-trace_logs", "-log_file", str(folder / f"{name}.log")),
            *("-trace_stat", "-stf", str(folder / f"{name}.csv"), "-fd", "1"),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=screen,
            stderr=screen,
            cwd=folder,
        )
    return Sipp(name, folder, process)


def written(folder: Path, name: str, source: str, replaced: Mapping[str, object]) -> Path:
    """A scenario of its own, with its places filled."""
    text = (SCENARIOS / f"{source}.xml").read_text()
    for place, value in replaced.items():
        text = text.replace(f"@{place}@", str(value))
    path = folder / f"{name}.xml"
    path.write_text(text)
    return path


@asynccontextmanager
async def a_call_centre(folder: Path, offer: str, port: int) -> AsyncIterator[Sipp]:
    """Where calls for ``offer`` arrive, until the end of the block."""
    replaced = {each.value: pattern(offer, each) for each in PATTERNS}
    scenario = written(
        folder,
        f"at-{offer}",
        "call-centre",
        {**replaced, "SHORT_MS": SHORT_MS, "LONG_MS": LONG_MS},
    )
    name = f"at-{offer}"
    kept = ("-trace_msg", "-message_file", str(folder / f"{name}.messages"))
    centre = await start_sipp(name, folder, scenario, "-p", str(port), "-aa", *kept)
    try:
        yield centre
    finally:
        await centre.stop()


async def start_callers(
    folder: Path,
    scenario: str,
    callers: Sequence[Caller],
    switch_port: int,
    *,
    at_once: int,
    a_second: int = 50,
    headers: Sequence[str] = (),
    name: str | None = None,
) -> Sipp:
    """Let these call, so many at once; all play the same scenario, under a name of its own.

    ``headers``: more lines of the INVITEs of those who stay.
    """
    name = name or scenario
    lines = [f"{each.number};{each.plan.dials};{each.plan.stay_ms};" for each in callers]
    numbers = folder / f"{name}.callers"
    numbers.write_text("\n".join(["SEQUENTIAL", *lines, ""]))
    source, _, code = scenario.partition("-4")
    more = "".join(f"\n      {line}" for line in headers)
    path = written(folder, name, source, {"CODE": f"4{code}", "HEADERS": more})
    return await start_sipp(
        *(name, folder, path, f"{HOST}:{switch_port}", "-p", str(free_udp_port())),
        *("-inf", str(numbers), "-m", str(len(callers)), "-l", str(at_once), "-r", str(a_second)),
        *("-recv_timeout", "12000", "-aa", "-cid_str", CALL_ID),
    )
