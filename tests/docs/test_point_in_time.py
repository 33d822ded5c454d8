"""Recovery to a point in time by the very commands of `docs/howto/backup.md`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio

from config.secret_box import new_key
from tests.docs.pages import ROOT, Page, blocks_run_by
from tests.eventually import eventually
from tests.postgres_cluster import SETTINGS, USER, DatabaseServer, a_server
from tests.service_process import AUTHORISED, ServiceProcess, Switch, a_service, a_switch
from tests.unit.config.samples import ACCEPTANCE, SET

PAGE = Page(ROOT / "docs" / "howto" / "backup.md")
MOMENT = "2026-11-28 17:59:00+00"
WITHIN_S = 90.0


def here(text: str, folder: Path) -> str:
    """The page's text with folders of this test's own."""
    return text.replace("/backup/", f"{folder}/backup/").replace("/archive/", f"{folder}/archive/")


async def run(server: DatabaseServer, commands: str) -> None:
    """Run commands of the page as the account that PostgreSQL runs as, with its programs."""
    reach = f"PGHOST={server.host} PGPORT={server.port} PGUSER={USER}"
    script = server.folder / "commands.sh"
    script.write_text(f'export {reach} PATH="{server.programs}:$PATH"\n{commands}')
    output = script.with_suffix(".log")
    with output.open("wb") as file:
        process = server.launcher.start(["bash", "-e", str(script)], file)
    code = await asyncio.to_thread(process.wait, WITHIN_S)
    assert code == 0, f"{commands}\n{output.read_text(errors='replace')}"


@pytest_asyncio.fixture
async def primary(tmp_path: Path) -> AsyncIterator[DatabaseServer]:
    """A server that archives as the page says, not started yet; what the page starts is ended."""
    server = a_server(tmp_path, "primary")
    await server.make()
    for name in ("archive", "backup"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    (archiving,) = (block.text for block in PAGE.blocks if "archive_command" in block.text)
    # A server of one's own has its settings in this file, and so its backup has them too.
    own = [f"{name} = '{value}'" for name, value in SETTINGS.items()]
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("\n".join((*own, here(archiving, tmp_path), "")))
    yield server
    if (tmp_path / "backup" / "base" / "postmaster.pid").exists():
        await run(server, f"pg_ctl stop --mode fast --pgdata {tmp_path}/backup/base")


@asynccontextmanager
async def serving(server: DatabaseServer, key: str, name: str) -> AsyncIterator[ServiceProcess]:
    """A service on the server; the first brings the marketplace."""
    known = {"PINGPOST_DSN": server.dsn, "PINGPOST_SECRET_KEY": key, **SET}
    arguments = ("--marketplace", str(ACCEPTANCE)) if name == "first" else ()
    async with a_service(server.folder / name, *arguments, environment=known) as service:
        yield service


async def route(switch: Switch, service: ServiceProcess, call_id: str) -> None:
    decision = await switch.route(
        service, call_id=call_id, dialed_number="+18005550100", caller_id="+13105551234"
    )
    assert decision["action"] == "route"


async def status_of(switch: Switch, service: ServiceProcess, call_id: str) -> int:
    url = f"{service.url}/v1/calls/{call_id}"
    async with switch.session.get(url, headers=AUTHORISED) as response:
        return response.status


async def is_archived(server: DatabaseServer) -> None:
    """Wait until everything written so far is in the archive."""
    segment = str(await server.value("select pg_walfile_name(pg_switch_wal())"))
    await eventually((server.folder / "archive" / segment).exists, within_s=60)


async def test_a_base_backup_and_its_archive_lead_back_to_any_moment(
    primary: DatabaseServer, tmp_path: Path
) -> None:
    back_up, restore = (here(block.text, tmp_path) for block in blocks_run_by(__file__))
    assert MOMENT in restore
    key = new_key()
    await primary.start()
    try:
        async with serving(primary, key, "first") as service, a_switch() as switch:
            await route(switch, service, "before-the-backup")
            await run(primary, back_up)
            await route(switch, service, "after-the-backup")
            record = await switch.record(service, "after-the-backup")
            moment = await primary.value("select clock_timestamp()")
            await route(switch, service, "after-the-moment")
            await is_archived(primary)
    finally:
        await primary.stop()
    assert isinstance(moment, datetime)
    await run(primary, restore.replace(MOMENT, str(moment.astimezone(UTC))))

    # On the same port, which the first server has left.
    await eventually(lambda: is_promoted(primary), within_s=60)
    async with serving(primary, key, "restored") as service, a_switch() as switch:
        assert await status_of(switch, service, "before-the-backup") == 200
        assert await switch.record(service, "after-the-backup") == record
        assert await status_of(switch, service, "after-the-moment") == 404
        await route(switch, service, "after-the-restore")


async def is_promoted(server: DatabaseServer) -> bool:
    return bool(await server.value("select not pg_is_in_recovery()"))
