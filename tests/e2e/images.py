"""The images that ``compose.yaml`` names, made here from Debian's packages."""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.docs.pages import ROOT
from tests.e2e.engine import Engine
from tests.e2e.programs import program

DOCKER = ROOT / "deploy" / "docker"
TARGETS = Path(__file__).parent / "images"
PACKAGES = "python3,python3-venv,ca-certificates,haproxy,postgresql-15,prometheus"
PIP = """[global]
no-index = true
find-links = /packages
"""
BUILT = "--python-version 3.11 --only-binary=:all:"
"""For bookworm's Python, whichever runs this."""

PAUSE = "localhost/pause:1"
"""What keeps the namespaces of a pod."""

_DEBIAN = """
{debootstrap} --variant=minbase --include={packages} bookworm debian
{python} -m pip download {built} --quiet --no-deps --require-hashes --dest debian/packages -r {lock}
cp pip.conf debian/etc/pip.conf
tar --exclude=./var/cache/apt --exclude=./var/lib/apt/lists -C debian -c . | docker import - {base}
rm -r debian
"""


def base() -> str:
    """The image that the service's is built on."""
    found = re.search(r"^ARG BASE=(\S+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def composed() -> dict[str, Any]:
    """The services of ``compose.yaml`` as they are written."""
    text = (ROOT / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8")
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


async def make_images(engine: Engine) -> None:
    """All images but the service's own: its base, with its packages at hand, and the others'."""
    (engine.folder / "pip.conf").write_text(PIP)
    (engine.folder / "debian.sh").write_text(
        _DEBIAN.format(
            debootstrap=program("debootstrap"),
            packages=PACKAGES,
            python=sys.executable,
            built=BUILT,
            lock=DOCKER / "requirements.lock",
            base=base(),
        )
    )
    # What it mounts goes with it, even when it is broken off.
    await engine.run("unshare --mount bash -euo pipefail debian.sh")
    others = {service: told["image"] for service, told in composed().items()}
    for target, image in {**others, "pause": PAUSE}.items():
        if not image.startswith("pingpost:"):
            build = f"docker build --build-arg BASE={base()} --target {target} -t {image} ."
            await engine.run(build, TARGETS)
