"""The programs and libraries that comparators need: found, or named as missing."""

import asyncio
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.peers.comparator import UnavailableError

BUILD_WITHIN_S: Final = 300.0

_USUAL_PLACES: Final = ("/usr/local/go/bin", "/usr/sbin", "/usr/local/sbin")
"""Where programs are that a user's PATH often lacks."""

_TROUBLE = re.compile(r"error|fail|not found|cannot|denied", re.IGNORECASE)
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def find_program(name: str) -> str:
    """The program's path, from PATH or a usual place. Raises UnavailableError."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_USUAL_PLACES))
    if found is None:
        raise UnavailableError(f"{name} is not installed")
    return found


def need_libraries(names: Iterable[str]) -> None:
    """Raises UnavailableError naming the Python libraries that are missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{', '.join(missing)} not installed (the extra `bench` has them)")


def need_version(name: str, said: str, wanted: Sequence[int]) -> None:
    """Raises UnavailableError when the version in what a program says is below ``wanted``."""
    found = _VERSION.search(said)
    if found is None:
        raise UnavailableError(f"{name} tells no version")
    version = tuple(int(part or 0) for part in found.groups())
    if version < tuple(wanted):
        at_least = ".".join(str(part) for part in wanted)
        raise UnavailableError(f"{name} {found.group()} is too old, {at_least} is needed")


async def run_tool(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a program says, on both outputs. Raises UnavailableError when it fails or hangs."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    shown = " ".join((Path(command[0]).name, *command[1:2]))
    try:
        async with asyncio.timeout(BUILD_WITHIN_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise UnavailableError(f"`{shown}` took over {BUILD_WITHIN_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise UnavailableError(f"`{shown}` failed: {first_complaint(said)}")
    return said


def first_complaint(text: str) -> str:
    """The first line that says what is wrong: a tool's; what follows is advice."""
    return _complaints(text)[0]


def last_complaint(text: str) -> str:
    """The last line that says what is wrong: a server's; what stands before is its stack."""
    return _complaints(text)[-1]


def _complaints(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if _TROUBLE.search(line)] or lines or ["it says nothing"]
