"""What lies where in the service's data directory, and who may use it."""

import fcntl
import json
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.account import Account, can_reach, may_pass_closed_directories
from storage.errors import EmbeddedServerError
from storage.polling import until

SOCKET_DIRECTORY_PREFIX = "pingpost-socket-"
SOCKET_NAME = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 99
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")
_LOCK_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The paths in a data directory. ``root`` is absolute and free of symbolic links."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> "DataDirectory":
        """The data directory at ``path``, which need not exist yet."""
        return cls(path.expanduser().resolve())

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data."""
        return self.root / "postgres"

    @property
    def log_file(self) -> Path:
        """What PostgreSQL says."""
        return self.root / "postgres.log"

    @property
    def runtime_file(self) -> Path:
        """Where other commands read how to reach the running server."""
        return self.root / "postgres.json"

    @property
    def lock_file(self) -> Path:
        """Held by the service for as long as it lives."""
        return self.root / "service.lock"

    def create(self, account: Account | None) -> None:
        """Make the directory when it is missing, closed to others. Raises EmbeddedServerError."""
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            if not self.root.exists():
                self.root.mkdir(mode=0o700)
                if account is not None and not may_pass_closed_directories():
                    os.chown(self.root, 0, account.gid)
                    self.root.chmod(0o710)
        except OSError as error:
            message = f"the data directory {self.root} can't be made: {error.strerror}"
            raise EmbeddedServerError(message) from error

    def write_runtime(self, facts: Mapping[str, object]) -> None:
        """Replace the runtime file in one step."""
        fresh = self.runtime_file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(facts, file)
        fresh.replace(self.runtime_file)

    def read_runtime(self) -> dict[str, object]:
        """What the runtime file says; empty when there is none that can be read."""
        try:
            facts = json.loads(self.runtime_file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}


class DirectoryLock:
    """The right to run a service on a data directory; it ends with the process, however it ends."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._file: int | None = None

    async def acquire(self) -> None:
        """Take the lock. Raises EmbeddedServerError when another service has it."""
        file = self._open()
        try:
            if not await until(lambda: _locked(file), _LOCK_PATIENCE_S):
                message = f"another service is running on the data directory {self._directory.root}"
                raise EmbeddedServerError(message)
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def _open(self) -> int:
        path = self._directory.lock_file
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            message = f"{path} can't be opened: {error.strerror}"
            raise EmbeddedServerError(message) from error

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def check_reachable(directory: DataDirectory, account: Account | None) -> None:
    """Raises EmbeddedServerError when the account that PostgreSQL runs as can't get there."""
    if account is None or may_pass_closed_directories() or can_reach(directory.cluster, account):
        return
    message = (
        f"PostgreSQL can't run as root, and its user (uid {account.uid}) can't get to"
        f" {directory.root}: use a data directory below directories that are open to all"
    )
    raise EmbeddedServerError(message)


def make_socket_directory(directory: DataDirectory, account: Account | None) -> Path:
    """An empty directory, closed to others, whose path is short enough for a socket.

    Inside the data directory where possible, else a fresh one among the temporary files, else in
    ``/tmp``.
    """
    inside = directory.root / "socket"
    if not _holds_a_socket(inside):
        fresh = Path(tempfile.gettempdir(), f"{SOCKET_DIRECTORY_PREFIX}{'x' * 8}")
        among = None if _holds_a_socket(fresh) else "/tmp"  # noqa: S108 - a name nobody can guess
        inside = Path(tempfile.mkdtemp(prefix=SOCKET_DIRECTORY_PREFIX, dir=among))
    else:
        if inside.is_symlink() or inside.exists():
            remove_directory(inside)
        inside.mkdir(mode=0o700)
    if account is not None:
        os.chown(inside, account.uid, account.gid)
    return inside


def _holds_a_socket(folder: Path) -> bool:
    path = str(folder / SOCKET_NAME)
    short = len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH
    return short and _PLAIN_PATH.fullmatch(path) is not None


def is_closed(path: Path, owner: int) -> bool:
    """Whether this is a directory that its owner, the user with this number, alone can enter."""
    try:
        status = path.lstat()
    except OSError:
        return False
    private = stat.S_IMODE(status.st_mode) == 0o700
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner and private


def answers(socket_directory: Path) -> bool:
    """Whether a server listens on the socket in this directory."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2.0)
        try:
            client.connect(str(socket_directory / SOCKET_NAME))
        except OSError:
            return False
    return True


def remove_directory(path: Path) -> None:
    """Remove a directory with all in it, as far as that goes; of a symbolic link only the link."""
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        # Whoever was using it may be removing it as well.
        shutil.rmtree(path, ignore_errors=True)


def sync_directory(path: Path) -> None:
    """Make renames in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
