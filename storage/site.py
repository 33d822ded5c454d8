"""What all runs of one embedded server share."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from storage.account import Account, Launcher
from storage.data_directory import DataDirectory

_TAIL_BYTES = 2000
_LARGEST_LOG = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server lives and how its programs are run. ``account`` None: as we are."""

    directory: DataDirectory
    account: Account | None
    launcher: Launcher
    programs: Path
    log: "ServerLog"

    def program(self, name: str) -> str:
        """The path of one of the programs."""
        return str(self.programs / name)


class ServerLog:
    """The file that the server writes to, kept to a bounded size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def open(self) -> IO[bytes]:
        """The file for one more run; ``tail`` then tells of this run only."""
        self.trim()
        file = self._path.open("ab")
        self._start = file.tell()
        return file

    def tail(self) -> str:
        """The last lines of the current run."""
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._start, size - _TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace").strip()

    def trim(self) -> None:
        """Put a file that has grown too large aside, over the one before it, and begin anew."""
        if self._path.exists() and self._path.stat().st_size > _LARGEST_LOG:
            # Not renamed: the server goes on writing to the file that it has open, at its end.
            shutil.copyfile(self._path, self._path.with_suffix(".log.1"))
            os.truncate(self._path, 0)
            self._start = 0
