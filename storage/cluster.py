"""PostgreSQL's data: made once, whole or not at all."""

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from storage.data_directory import remove_directory, sync_directory
from storage.errors import EmbeddedServerError
from storage.polling import until
from storage.programs import VERSION
from storage.site import Site

USER = "pingpost"
_INITDB_S = 120.0
_HALF_MADE = "postgres.new-"

_INITDB_OPTIONS = (
    f"--username={USER}",
    # Only the socket is there, in a directory that nobody else can enter.
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    "--no-instructions",
)


async def make_cluster(site: Site) -> None:
    """Make the data when there is none; remove what an interrupted attempt has left.

    Raises EmbeddedServerError when it fails or the data is another version's.
    """
    fresh = _make_place(site)
    if fresh is not None:
        await _run_initdb(site, fresh)
        # A rename is whole or not at all, so data that is there is data that is complete.
        fresh.rename(site.directory.cluster)
        sync_directory(site.directory.root)
        # Again: an interrupted attempt may have been ending only just now.
        _remove_half_made(site.directory.root)


def _make_place(site: Site) -> Path | None:
    root, cluster = site.directory.root, site.directory.cluster
    _remove_half_made(root)
    if cluster.exists():
        _check_version(cluster)
        _hand_over(cluster, site)
        return None
    fresh = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=root))
    _hand_over(fresh, site)
    return fresh


def _remove_half_made(root: Path) -> None:
    for half_made in root.glob(f"{_HALF_MADE}*"):
        remove_directory(half_made)


def _hand_over(folder: Path, site: Site) -> None:
    """Give data that is root's, such as a restored copy, to the account that PostgreSQL runs as."""
    account = site.account
    if account is not None and folder.stat().st_uid != account.uid:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


async def _run_initdb(site: Site, fresh: Path) -> None:
    with site.log.open() as output:
        process = site.launcher.start(
            [site.program("initdb"), "-D", str(fresh), *_INITDB_OPTIONS], output
        )
    try:
        await until(lambda: process.poll() is not None, _INITDB_S)
    finally:
        _end(process)
    if process.returncode != 0:
        remove_directory(fresh)
        message = f"initdb ended with code {process.returncode}:\n{site.log.tail()}"
        raise EmbeddedServerError(message)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        # Asked to end, it removes what it has made.
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5.0)
        process.kill()
        process.wait()


def _check_version(cluster: Path) -> None:
    version_file = cluster / "PG_VERSION"
    version = version_file.read_text("ascii").strip() if version_file.exists() else "unknown"
    if version != VERSION:
        message = f"{cluster} is of PostgreSQL version {version}, this is PostgreSQL {VERSION}"
        raise EmbeddedServerError(message)
