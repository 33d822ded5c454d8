"""As whom PostgreSQL's programs run, and how they are started so that they end with the service."""

import logging
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

_NOBODY = 65534
_CAP_DAC_READ_SEARCH = 2
_INHERITED = ("PATH", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user and its group, by number."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts programs, ``prefix`` before each, or as ``account`` where no prefix can change it."""

    prefix: tuple[str, ...] = ()
    account: Account | None = None

    def start(self, command: Sequence[str], output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a program in a session of its own, where a Ctrl-C at the terminal can't reach it.

        Call this from a thread that lives as long as the service: the kernel ends the program when
        that thread ends.
        """
        account = self.account
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return subprocess.Popen(  # noqa: S603 - a fixed program, its arguments are our own
            [*self.prefix, *command],
            cwd="/",
            env=environment | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def choose_account(cluster: Path) -> Account | None:
    """As whom PostgreSQL runs: the owner of the data that is there, else an unprivileged user.

    None when we are an ordinary user: PostgreSQL then runs as we do.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and cluster.stat().st_uid != 0:
        return Account(cluster.stat().st_uid, cluster.stat().st_gid)
    for name in ("pingpost", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    return Account(_NOBODY, _NOBODY)


def make_launcher(account: Account | None, needed: Iterable[Path], log: logging.Logger) -> Launcher:
    """A launcher for ``account`` that can get to the ``needed`` files."""
    setpriv = find_setpriv()
    if setpriv is None:
        log.warning(
            "setpriv is not there: PostgreSQL may outlive a service that is killed",
            extra={"action": "embedded_without_setpriv"},
        )
        return Launcher(account=account)
    options = [setpriv, "--pdeathsig", "INT"]
    if account is not None:
        options += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
        if may_pass_closed_directories() and not all(can_reach(path, account) for path in needed):
            # Without the secure bit access(2), which initdb asks, would not see the capability.
            options += ["--securebits=+no_setuid_fixup"]
            options += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return Launcher((*options, "--"))


def can_reach(path: Path, account: Account) -> bool:
    """Whether the account may pass every directory above ``path``, going by their modes."""
    return all(may_pass(parent.stat(), account) for parent in path.resolve().parents)


def may_pass(status: os.stat_result, account: Account) -> bool:
    """Whether the account may enter this directory or run this program, going by its mode."""
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def may_pass_closed_directories() -> bool:
    """Whether we can hand on the right to pass every directory (a container may have taken it)."""
    if find_setpriv() is None:
        return False
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return False
    held = [int(line.split()[1], 16) for line in lines if line.startswith(("CapPrm:", "CapBnd:"))]
    return bool(held) and all(bits >> _CAP_DAC_READ_SEARCH & 1 for bits in held)


@cache
def find_setpriv() -> str | None:
    """The program that changes a process's rights, None where there is none that knows enough."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return None
    # Small systems ship a setpriv that knows none of this.
    probe = [setpriv, "--pdeathsig", "INT", "--", setpriv, "--help"]
    done = subprocess.run(probe, capture_output=True, check=False, timeout=10)  # noqa: S603 - fixed
    return setpriv if done.returncode == 0 else None
