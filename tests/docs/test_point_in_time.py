"""Recovery to a point in time, as `docs/howto/backup.md` tells: base backup, archive, restore."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from config.secret_box import new_key
from storage.embedded import EmbeddedServer
from storage.programs import find_programs
from tests.eventually import eventually
from tests.service_process import AUTHORISED, ServiceProcess, Switch, a_service, a_switch
from tests.unit.config.samples import ACCEPTANCE, SET


@asynccontextmanager
async def a_server(data_dir: Path, **settings: str) -> AsyncIterator[str]:
    """The URL of a PostgreSQL of this test's own."""
    server = EmbeddedServer(data_dir, settings=settings)
    try:
        yield await server.start()
    finally:
        await server.stop()


async def route(switch: Switch, service: ServiceProcess, call_id: str) -> None:
    decision = await switch.route(
        service, call_id=call_id, dialed_number="+18005550100", caller_id="+13105551234"
    )
    assert decision["action"] == "route"


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command


async def statement(dsn: str, text: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


async def is_archived(dsn: str, archive: Path) -> None:
    """Wait until everything written so far is in the archive."""
    segment = await statement(dsn, "select pg_walfile_name(pg_switch_wal())")
    await eventually((archive / str(segment)).exists, within_s=60)


def recover(base: Path, archive: Path, until: datetime) -> None:
    """What the page says to write into a base backup."""
    with (base / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = 'cp {archive}/%f %p'\n")
        file.write(f"recovery_target_time = '{until.isoformat()}'\n")
        file.write("recovery_target_action = promote\n")
    (base / "recovery.signal").touch()


async def status_of(switch: Switch, service: ServiceProcess, call_id: str) -> int:
    url = f"{service.url}/v1/calls/{call_id}"
    async with switch.session.get(url, headers=AUTHORISED) as response:
        return response.status


async def test_a_base_backup_and_its_archive_lead_back_to_any_moment(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    archive.chmod(0o777)
    archiving = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"}
    environment = {"PINGPOST_SECRET_KEY": new_key(), **SET}
    arguments = ("--marketplace", str(ACCEPTANCE))
    base = tmp_path / "restored" / "postgres"
    base.parent.mkdir()
    async with a_server(tmp_path / "first", **archiving) as dsn, a_switch() as switch:
        known = {**environment, "PINGPOST_DSN": dsn}
        async with a_service(tmp_path / "one", *arguments, environment=known) as service:
            await route(switch, service, "before-the-backup")
            await run(str(find_programs() / "pg_basebackup"), *backup_arguments(dsn, base))
            await route(switch, service, "after-the-backup")
            record = await switch.record(service, "after-the-backup")
            moment = await statement(dsn, "select clock_timestamp()")
            await route(switch, service, "after-the-moment")
            await is_archived(dsn, archive)
    assert isinstance(moment, datetime)
    recover(base, archive, moment.astimezone(UTC))
    # Not archived into: what comes after the moment is another history.
    async with a_server(tmp_path / "restored") as dsn, a_switch() as switch:
        await eventually_promoted(dsn)
        known = {**environment, "PINGPOST_DSN": dsn}
        async with a_service(tmp_path / "two", environment=known) as service:
            assert await status_of(switch, service, "before-the-backup") == 200
            assert await switch.record(service, "after-the-backup") == record
            assert await status_of(switch, service, "after-the-moment") == 404
            await route(switch, service, "after-the-restore")


def backup_arguments(dsn: str, base: Path) -> tuple[str, ...]:
    host = parse_qs(urlsplit(dsn).query)["host"][0]
    reach = ("--host", host, "--username", str(urlsplit(dsn).username))
    return (*reach, "--pgdata", str(base), "--checkpoint", "fast", "--wal-method", "stream")


async def eventually_promoted(dsn: str) -> None:
    await eventually(lambda: statement(dsn, "select not pg_is_in_recovery()"), within_s=60)


def test_the_page_names_what_this_test_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "backup.md").read_text()
    for word in ("recovery_target_time", "recovery.signal", "restore_command", "archive_command"):
        assert word in page
    assert Path(__file__).name in page
