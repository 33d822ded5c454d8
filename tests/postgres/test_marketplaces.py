"""Marketplace files on their way into a real database."""

import asyncio
from pathlib import Path

import pytest

from auction.marketplaces import apply_file, export, load_at_start
from config.faults import ConfigError
from config.secret_box import SecretBox
from storage.catalogue import latest, load, save
from storage.database import Database
from storage.migrate import migrate

BOX = SecretBox(bytes(range(32)))
TERMS = """
campaigns:
  - {{id: auto, name: Auto, numbers: ["+18005550100"]}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:sales@acme.example"}}
        ping_post:
          minimum_bid: "{minimum}"
          ping: {{url: "http://127.0.0.1:9/ping", caller_id: hashed{auth}}}
"""
SECRET = ', auth: {type: bearer, token: "correct horse"}'


def a_file(folder: Path, name: str = "market.yaml", minimum: int = 5, auth: str = "") -> Path:
    path = folder / name
    path.write_text(TERMS.format(minimum=minimum, auth=auth))
    return path


async def test_services_that_start_together_on_an_empty_database_load_the_file_once(
    database: Database, tmp_path: Path
) -> None:
    path = a_file(tmp_path, auth=SECRET)
    starts = [load_at_start(database, BOX, path, {}) for _ in range(4)]
    applied = await asyncio.gather(*starts)
    assert [each.revision for each in applied] == [1] * 4
    assert sorted(each.changed for each in applied) == [False, False, False, True]


async def test_a_start_that_another_file_overtakes_is_refused(
    database: Database, tmp_path: Path
) -> None:
    files = [a_file(tmp_path, f"market-{number}.yaml", number) for number in (1, 2)]
    starts = [load_at_start(database, BOX, path, {}) for path in files]
    first, second = await asyncio.gather(*starts, return_exceptions=True)
    refused = [each for each in (first, second) if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [ConfigError]
    newest = await latest(database)
    assert newest is not None
    assert newest.revision == 1


async def test_the_file_that_was_loaded_last_is_loaded_again_with_its_changes(
    database: Database, tmp_path: Path
) -> None:
    await load_at_start(database, BOX, a_file(tmp_path), {})
    again = await load_at_start(database, BOX, a_file(tmp_path, minimum=6), {})
    assert (again.revision, again.changed) == (2, True)


@pytest.mark.parametrize("origin", ["api", "file"])
async def test_a_marketplace_that_was_changed_by_other_means_is_left_alone(
    database: Database, tmp_path: Path, origin: str
) -> None:
    path = a_file(tmp_path)
    await load_at_start(database, BOX, path, {})
    if origin == "api":
        stored = await load(database)
        await save(database, stored.items[:-1], origin="api", actor="an operator")
    else:
        await apply_file(database, BOX, a_file(tmp_path, "other.yaml", 7), {})
    before = await load(database)
    with pytest.raises(ConfigError, match="changed by other means"):
        await load_at_start(database, BOX, path, {})
    assert await load(database) == before


async def test_an_export_of_a_file_without_secrets_applies_to_an_empty_database(
    database: Database, empty_dsn: str, tmp_path: Path
) -> None:
    await apply_file(database, BOX, a_file(tmp_path), {})
    exported = tmp_path / "exported.yaml"
    exported.write_text(await export(database))
    await migrate(empty_dsn)
    other = await Database.connect(empty_dsn)
    try:
        assert (await apply_file(other, BOX, exported, {})).revision == 1
        assert (await load(other)).items == (await load(database)).items
    finally:
        await other.close()
