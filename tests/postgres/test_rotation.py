"""Another secret key takes the place of the one in force."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from auction.marketplaces import Marketplaces, apply_file
from auction.stores import secret_box
from buyers.notices import NoticeBoard
from config.sealing import resolve_secret, seal
from config.secret_box import SecretBox, new_key, read_key
from config.secret_values import Secret
from config.settings import Settings
from storage.catalogue import latest, load
from storage.catalogue_items import join
from storage.database import Database
from storage.errors import RevisionConflictError, SecretKeyError
from storage.keys import (
    ServiceKey,
    key_in_force,
    keys_in,
    load_or_make_next_key,
    load_or_make_secret_key,
    put_next_key_in_force,
    service_key,
)
from storage.rotation import Rotated, rotate
from tests.eventually import eventually
from tests.golden.runner import ScriptedTransport
from tests.ledger_steps import VAULT

OLD_KEY, NEW_KEY = new_key(), new_key()
OLD, NEW = SecretBox(read_key(OLD_KEY)), SecretBox(read_key(NEW_KEY))
SECRET = "correct horse battery staple"
TERMS = f"""
sources: [{{id: pub, token: {SECRET}}}, {{id: other, token: {{env: OTHER}}}}]
campaigns: [{{id: auto, numbers: ["+18005550100"]}}]
buyers:
  - id: acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:sales@acme.example"}}
        ping_post:
          minimum_bid: "{{minimum}}"
          ping:
            url: "http://127.0.0.1:9/ping"
            auth: {{type: bearer, token: {SECRET}}}
            headers: {{X-Api-Key: {SECRET}}}
            query: {{site: {{secret: {SECRET}}}}}
"""


def a_file(folder: Path, minimum: int = 5) -> Path:
    path = folder / "market.yaml"
    path.write_text(TERMS.replace("{minimum}", str(minimum)))
    return path


async def secrets_of(database: Database, box: SecretBox) -> list[str]:
    """Every sealed secret of every revision that the box opens."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            """select (regexp_matches(document::text, 'v1\\.[A-Za-z0-9_-]+', 'g'))[1] as sealed
            from catalogue_items"""
        )
    return [resolve_secret(Secret(sealed=row["sealed"]), box, {}) for row in rows]


async def keys_of(database: Database, box: SecretBox) -> list[bytes]:
    return [await service_key(database, box, key) for key in ServiceKey]


async def test_everything_is_sealed_anew_and_is_what_it_was(
    database: Database, tmp_path: Path
) -> None:
    for minimum in (5, 6):
        await apply_file(database, OLD, a_file(tmp_path, minimum), {"OTHER": "x"})
    keys = await keys_of(database, OLD)
    assert await rotate(database, OLD, NEW) == Rotated(keys=2, documents=3, unreadable=0)
    assert await secrets_of(database, NEW) == [SECRET] * 7, "those of old revisions, too"
    assert await keys_of(database, NEW) == keys
    with pytest.raises(SecretKeyError):
        await keys_of(database, OLD)
    with pytest.raises(SecretKeyError, match="SECRET_KEY"):
        await rotate(database, OLD, NEW)
    again = await apply_file(database, NEW, a_file(tmp_path, 6), {"OTHER": "x"})
    assert not again.changed, "an equal secret keeps its sealed form"


async def test_a_change_that_waits_for_its_time_is_sealed_anew_too(database: Database) -> None:
    sealed = seal({"sources": [{"id": "pub", "token": SECRET}]}, OLD)["sources"]
    assert isinstance(sealed, list)
    async with database.connection() as connection:
        await connection.execute(
            """insert into scheduled_changes (id, kind, item_id, patch, effective_at, actor)
            values ('s1', 'source', 'pub', $1, now(), 'ops')""",
            json.dumps(sealed[0]),
        )
        assert (await rotate(database, OLD, NEW)).documents == 1
        patch = json.loads(await connection.fetchval("select patch from scheduled_changes"))
        told = await connection.fetchval("select action from audit_entries")
    assert resolve_secret(Secret.read(patch["token"]), NEW, {}) == SECRET
    assert told == "rotate"


async def test_what_was_sealed_while_the_key_was_rotated_is_refused(
    database: Database, tmp_path: Path
) -> None:
    applied = await apply_file(database, OLD, a_file(tmp_path), {"OTHER": "x"})
    await rotate(database, OLD, NEW)
    path = a_file(tmp_path, 7)
    with pytest.raises(RevisionConflictError):
        await apply_file(database, OLD, path, {"OTHER": "x"}, instead_of=applied.revision)
    newest = await latest(database)
    assert newest is not None
    assert (newest.origin, newest.file_name) == ("file", str(path)), "still the file's"


async def test_a_secret_that_nobody_could_open_stays_and_is_counted(
    database: Database, tmp_path: Path
) -> None:
    stranger = SecretBox(b"s" * 32)
    await apply_file(database, stranger, a_file(tmp_path), {"OTHER": "x"})
    before = join((await load(database)).items)
    assert await rotate(database, OLD, NEW) == Rotated(keys=2, documents=2, unreadable=4)
    assert join((await load(database)).items) == before


async def test_a_running_service_goes_on_under_the_new_key(
    database: Database, tmp_path: Path
) -> None:
    keys = [read_key(OLD_KEY), read_key(NEW_KEY)]

    async def renewed() -> SecretBox:
        return SecretBox(await key_in_force(database, keys))

    await apply_file(database, OLD, a_file(tmp_path), {"OTHER": "x"})
    transport = ScriptedTransport({})
    marketplaces = Marketplaces(
        database,
        OLD,
        transport,
        NoticeBoard(transport),
        {"OTHER": "x"},
        VAULT,
        lambda _: None,
        renew_box=renewed,
    )
    await keys_of(database, OLD)
    for revision in (1, 2):
        await marketplaces.take_up(revision)
        assert len(marketplaces.source_tokens()) == 2
        if revision == 1:
            await rotate(database, OLD, NEW)


async def test_of_two_keys_the_one_in_force_is_found(database: Database) -> None:
    old, new = read_key(OLD_KEY), read_key(NEW_KEY)
    assert await key_in_force(database, [new, old]) == new, "nothing is sealed yet"
    await keys_of(database, OLD)
    assert await key_in_force(database, [new, old]) == old
    with pytest.raises(SecretKeyError):
        await key_in_force(database, [new])


def test_a_key_of_a_rotation_waits_beside_the_one_in_force(tmp_path: Path) -> None:
    old = load_or_make_secret_key(tmp_path)
    assert keys_in(tmp_path) == [old]
    put_next_key_in_force(tmp_path)
    new = load_or_make_next_key(tmp_path)
    assert new == load_or_make_next_key(tmp_path) != old
    assert keys_in(tmp_path) == [old, new]
    put_next_key_in_force(tmp_path)
    assert keys_in(tmp_path) == [new]
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


@pytest.mark.parametrize("committed", [False, True])
async def test_a_rotation_in_a_data_directory_that_was_cut_off_is_ended_at_the_next_start(
    database: Database, tmp_path: Path, committed: bool
) -> None:
    settings = Settings(data_dir=tmp_path)
    old = load_or_make_secret_key(tmp_path)
    keys = await keys_of(database, await secret_box(database, settings))
    new = load_or_make_next_key(tmp_path)
    if committed:
        await rotate(database, SecretBox(old), SecretBox(new))
    box = await secret_box(database, settings)
    assert await keys_of(database, box) == keys
    assert keys_in(tmp_path) == ([new] if committed else [old, new])


@pytest.mark.parametrize("stuck_at", ["service_keys", "catalogue_revisions"])
async def test_a_rotation_that_is_killed_leaves_the_old_key_in_force(
    database: Database, dsn: str, tmp_path: Path, stuck_at: str
) -> None:
    await apply_file(database, OLD, a_file(tmp_path), {"OTHER": "x"})
    keys = await keys_of(database, OLD)
    blocker = await asyncpg.connect(dsn)
    try:
        hold = blocker.transaction()
        await hold.start()
        await blocker.execute(f"lock table {stuck_at} in share row exclusive mode")
        process = await rotating(dsn)
        await eventually(lambda: waits_for_a_lock(database), within_s=20.0)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await hold.rollback()
    finally:
        await blocker.close()
    assert await secrets_of(database, OLD) == [SECRET] * 4
    assert await keys_of(database, OLD) == keys
    process = await rotating(dsn)
    assert await process.wait() == 0
    assert await secrets_of(database, NEW) == [SECRET] * 4
    assert await keys_of(database, NEW) == keys


async def rotating(dsn: str) -> asyncio.subprocess.Process:
    environment: dict[str, str] = {
        **{name: value for name, value in os.environ.items() if "PINGPOST" not in name},
        "PINGPOST_DSN": dsn,
        "PINGPOST_SECRET_KEY": OLD_KEY,
        "PINGPOST_NEW_SECRET_KEY": NEW_KEY,
    }
    command: Sequence[str] = (sys.executable, "-m", "auction", "rotate-key")
    return await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL
    )


async def waits_for_a_lock(database: Database) -> bool:
    async with database.connection() as connection:
        waiting = await connection.fetchval(
            """select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'"""
        )
    return bool(waiting)
