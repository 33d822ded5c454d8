"""``pingpost apply``: shows what changes, archives what the file omits, undoes nothing unseen."""

from pathlib import Path

import pytest

from auction.domain.leases import Leased
from auction.marketplaces import apply_file, export, load_at_start
from config.faults import ConfigError
from storage.catalogue import load, save
from storage.catalogue_items import split
from storage.database import Database
from storage.number_leases import NumberLeases
from tests.lease_steps import a_pool, a_visitor
from tests.ledger_steps import VAULT
from tests.postgres.test_marketplaces import BOX, SECRET, a_file


async def changed_by_api(database: Database) -> None:
    await save(database, (await load(database)).items[:-1], origin="api", actor="an operator")


async def test_an_export_is_refused_once_the_marketplace_was_changed(
    database: Database, tmp_path: Path
) -> None:
    await apply_file(database, BOX, a_file(tmp_path), {})
    exported = tmp_path / "exported.yaml"
    exported.write_text(await export(database))
    assert exported.read_text().startswith("revision: 1\n")
    assert not (await apply_file(database, BOX, exported, {})).changed
    await changed_by_api(database)
    before = await load(database)
    planned = await apply_file(database, BOX, exported, {}, dry_run=True)
    undone, told = planned.differences
    assert undone.startswith("+ offer ")
    assert told.startswith("! the file was exported from revision 1, and revision 2 is in force")
    with pytest.raises(ConfigError, match="revision: the file was exported from revision 1, and"):
        await apply_file(database, BOX, exported, {})
    assert await load(database) == before
    forced = await apply_file(database, BOX, exported, {}, force=True)
    assert (forced.revision, forced.changed) == (3, True)
    again = await apply_file(database, BOX, exported, {})
    assert (again.revision, again.changed) == (3, False)


POOLED = """
campaigns: [{id: auto}]
pools: [{id: web, campaign: auto, numbers: ["+18005550201", "+18005550202"]}]
"""


async def test_a_file_that_takes_numbers_from_visitors_says_so_and_is_refused_unless_forced(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "pools.yaml"
    path.write_text(POOLED)
    await apply_file(database, BOX, path, {})
    pool = a_pool("+18005550201", "+18005550202")
    lent = await NumberLeases(database, VAULT).lease(pool, a_visitor("ann"), {})
    assert isinstance(lent, Leased)
    for left in (POOLED.replace(f'"{lent.number}", ', ""), "campaigns: [{id: auto}]"):
        path.write_text(left)
        planned = await apply_file(database, BOX, path, {}, dry_run=True)
        assert planned.differences[-1].startswith(
            "! pool web gives up numbers that 1 visitor holds, until 20"
        )
        with pytest.raises(ConfigError, match=r"pools: ! pool web gives up numbers .* --force"):
            await apply_file(database, BOX, path, {})
    assert (await apply_file(database, BOX, path, {}, force=True)).changed
    path.write_text(POOLED)
    assert (await apply_file(database, BOX, path, {}, dry_run=True)).differences == [
        "+ pool web",
    ]


async def test_a_start_takes_its_own_file_whatever_revision_that_was_exported_from(
    database: Database, tmp_path: Path
) -> None:
    path = a_file(tmp_path)
    path.write_text("revision: 40\n" + path.read_text())
    assert (await load_at_start(database, BOX, path, {})).revision == 1
    path.write_text("revision: 40\ncampaigns: [{id: auto}]")
    assert (await load_at_start(database, BOX, path, {})).revision == 2
    assert "revision" not in (await load(database)).items[-1].document


async def test_a_dry_run_tells_every_difference_and_changes_nothing(
    database: Database, tmp_path: Path
) -> None:
    await apply_file(database, BOX, a_file(tmp_path, auth=SECRET), {})
    path = a_file(tmp_path, minimum=9, auth=SECRET.replace("correct", "other"))
    path.write_text(path.read_text().replace("name: Acme", "name: Zebra") + "sources: [{id: pub}]")
    before = await load(database)
    planned = await apply_file(database, BOX, path, {}, dry_run=True)
    assert planned.revision == 1
    assert sorted(planned.differences) == [
        "+ source pub",
        '~ buyer acme: name "Acme" -> "Zebra"',
        '~ offer acme-auto of acme: ping_post.minimum_bid "5" -> "9"',
    ]
    assert await load(database) == before


async def test_secrets_and_places_that_change_are_told_without_what_they_are(
    database: Database, tmp_path: Path
) -> None:
    await apply_file(database, BOX, a_file(tmp_path, auth=SECRET), {})
    path = a_file(tmp_path, auth=SECRET.replace("correct", "other"))
    planned = await apply_file(database, BOX, path, {}, dry_run=True)
    assert planned.differences == ["~ offer acme-auto of acme: a secret"]


async def test_what_a_file_omits_is_archived(database: Database, tmp_path: Path) -> None:
    await apply_file(database, BOX, a_file(tmp_path), {})
    path = tmp_path / "less.yaml"
    path.write_text("campaigns: [{id: auto}]")
    applied = await apply_file(database, BOX, path, {})
    assert {line for line in applied.differences if line.startswith("-")} == {
        "- buyer acme (archived)",
        "- offer acme-auto of acme (archived)",
    }
    kinds = {(item.kind, item.id) for item in (await load(database, 1)).items}
    assert ("offer", "acme-auto") in kinds


async def test_a_large_difference_is_told_in_short(database: Database, tmp_path: Path) -> None:
    await save(database, split({"sources": [{"id": f"s{n}"} for n in range(300)]}), origin="api")
    path = a_file(tmp_path)
    planned = await apply_file(database, BOX, path, {}, dry_run=True)
    assert len(planned.differences) == 201
    assert planned.differences[-1] == "… and 103 more"
