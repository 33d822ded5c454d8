"""A copy of this whole system to install into: nobody else sees it, and it is gone afterwards.

An overlay over the root in namespaces of its own, with the network and the addresses of this one.
What ``systemctl`` would ask of a running systemd it leaves out there, and says so; what it writes
it writes.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.e2e.programs import program

CHECKOUT = "/checkout"
_ENTER = f"""
set -e
over=$1
mount -t tmpfs none "$over"
mkdir "$over/upper" "$over/work" "$over/root"
mount -t overlay none -o "lowerdir=/,upperdir=$over/upper,workdir=$over/work" "$over/root"
mount -t proc none "$over/root/proc"
mount --rbind /dev "$over/root/dev"
for folder in {ROOT} {sys.prefix}; do
    mkdir -p "$over/root$folder"
    mount --bind "$folder" "$over/root$folder"
    mount -o remount,ro,bind "$over/root$folder"
done
cp -r "$2" "$over/root{CHECKOUT}"
cd "$over/root{CHECKOUT}"
result=0
chroot "$over/root" bash -c "$3" || result=$?
exit $result
"""
_BEGIN = f"""
set -eE -o pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
cd {CHECKOUT}
echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/99-nobody-is-asked
"""
_NOT_OF_A_CHECKOUT = (
    ".git",
    ".venv",
    ".e2e-tools",
    "e2e-results",
    "build",
    "*.egg-info",
    ".*_cache",
)


def copied_checkout(folder: Path) -> Path:
    """A checkout of one's own: what is here but for what was made in it."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*_NOT_OF_A_CHECKOUT))
    return checkout


def run_in_a_copy(
    folder: Path, commands: str, environment: Mapping[str, str], within_s: float
) -> "subprocess.CompletedProcess[str]":
    """What the commands printed, run as root in a checkout in a copy of this system.

    Every command must end with 0. Skips the test where there is no root to make a copy.
    """
    if os.geteuid() != 0:
        pytest.skip("a copy of the system is made as root")
    checkout, over = copied_checkout(folder), folder / "over"
    over.mkdir()
    unshare = (program("unshare"), "--mount", "--pid", "--fork", "--kill-child")
    ran = subprocess.run(
        (*unshare, "sh", "-c", _ENTER, "sh", over, checkout, _BEGIN + commands),
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
    return ran
