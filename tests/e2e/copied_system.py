"""A copy of this whole system to install into: nobody else sees it, and it is gone afterwards.

An overlay over the root that is booted by its own systemd, in a container with the network of this
one, so that ``systemctl`` does there what it does anywhere.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.pages import ROOT
from tests.e2e.programs import needed, program

CHECKOUT = "/checkout"
_UNIT = """
[Unit]
Description=What a page tells to type
Requires=sysinit.target dbus.socket
After=sysinit.target dbus.socket
SuccessAction=exit
FailureAction=exit

[Service]
Type=oneshot
ExecStart=/bin/bash /told/commands
StandardOutput=file:/told/said
StandardError=file:/told/errors
"""
_BOOT = """
set -e
over=$1 told=$2 checkout=$3 nspawn=$4; shift 4
mount -t tmpfs none "$over"
mkdir "$over/upper" "$over/work" "$over/root"
mount -t overlay none -o "lowerdir=/,upperdir=$over/upper,workdir=$over/work" "$over/root"
rm -f "$over/root/etc/machine-id"
cp -r "$checkout" "$over/root/checkout"
cp "$told/told.service" "$over/root/etc/systemd/system/"
exec "$nspawn" --quiet --register=no --keep-unit --console=pipe --resolv-conf=off \
    --directory "$over/root" --bind="$told:/told" "$@" --boot systemd.unit=told.service
"""
_BEGIN = f"""
set -eE -o pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
trap 'echo $? >/told/ended' EXIT
cd {CHECKOUT}
echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/99-nobody-is-asked
"""
_PASSED = re.compile(r"(?i)(HOME|LANG|LC_\w+|PIP_\w+|SSL_\w+|\w+_PROXY)$")
"""Of the environment: what installing needs, and no secret of whoever runs this."""

_NOT_OF_A_CHECKOUT = (
    ".git",
    ".venv",
    ".e2e-tools",
    "e2e-results",
    "build",
    "*.egg-info",
    ".*_cache",
    ".env",
    "buyers.env",
    "pingpost.env",
    "compose.override.yaml",
)


def copied_checkout(folder: Path) -> Path:
    """A checkout of one's own: what is here but for what was made in it."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*_NOT_OF_A_CHECKOUT))
    return checkout


def run_in_a_copy(
    folder: Path, commands: str, environment: Mapping[str, str], within_s: float
) -> str:
    """What the commands printed, run as root in a checkout in a copy of this system.

    Every command must end with 0. Skips the test where there is no root to make a copy.
    """
    nspawn = program("systemd-nspawn")
    needed(os.geteuid() == 0, "a copy of the system is made as root")
    checkout, over, told = copied_checkout(folder), folder / "over", folder / "told"
    over.mkdir()
    told.mkdir()
    (told / "told.service").write_text(_UNIT)
    passed = {name: os.environ[name] for name in os.environ if _PASSED.match(name)}
    given = {**passed, "DEBIAN_FRONTEND": "noninteractive", **environment}
    exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in given.items())
    (told / "commands").write_text(exports + _BEGIN + commands)
    apart = (program("unshare"), "--mount", "--fork", "--kill-child", "sh", "-c", _BOOT, "sh")
    seen = (f"--bind-ro={place}" for place in {str(ROOT), sys.prefix})
    booted = subprocess.run(
        (*apart, over, told, checkout, nspawn, *seen),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=within_s,
        check=False,
    )
    ended, said, errors = (_read(told / name) for name in ("ended", "said", "errors"))
    assert ended == "0\n", f"{booted.stdout[-4000:]}\n{said[-4000:]}\n{errors[-4000:]}"
    return said


def _read(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""
