"""What was made by the API is what ``export`` writes, and ``apply`` of that changes nothing."""

from pathlib import Path

import pytest

from auction.marketplaces import apply_file, export
from auction.web.management.resources import RESOURCES, Resource
from config.yaml_file import load_yaml
from storage.catalogue import load
from storage.database import Database
from tests.http.managed_steps import BOX, EXAMPLES, ask, managing, revision
from tests.unit.config.samples import SET


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.path)
async def test_api_equals_export_equals_apply(
    database: Database, tmp_path: Path, resource: Resource
) -> None:
    async with managing(database) as api:
        created = await ask(api, "POST", f"/v1/{resource.path}", EXAMPLES[resource.path])
        assert created.status == 201, created.body
        path = f"/v1/{resource.path}/{created.json()['id']}"
        before, number = await load(database), await revision(database)
        exported = await export(database)
        assert in_file(resource, exported, created.json()) == created.json()
        file = tmp_path / "exported.yaml"
        file.write_text(exported)
        applied = await apply_file(database, BOX, file, SET)
        assert (applied.revision, applied.changed) == (number, False)
        assert await load(database) == before
        assert (await ask(api, "GET", path)).body == created.body


def in_file(resource: Resource, text: str, shown: dict[str, object]) -> dict[str, object]:
    """The object as an exported file has it, in the API's form."""
    data = load_yaml(text)
    assert isinstance(data, dict)
    if resource.parent is None:
        [found] = [each for each in data[resource.list_name] if each["id"] == shown["id"]]
        return {key: each for key, each in found.items() if key not in resource.nested}
    for owner in data[f"{resource.parent}s"]:
        for each in owner.get(resource.list_name, ()):
            if each["id"] == shown["id"]:
                return {"id": each["id"], resource.parent: owner["id"], **each}
    raise AssertionError(shown["id"])


async def test_a_marketplace_built_by_the_api_alone_survives_the_round_trip(
    database: Database, tmp_path: Path
) -> None:
    async with managing(database, None) as api:
        for path, body in [
            ("sources", {"id": "pub"}),
            ("campaigns", {"id": "auto"}),
            ("buyers", {"id": "acme"}),
            ("offers", {"id": "one", "buyer": "acme", "campaign": "auto"}),
            ("buyers", {"id": "none"}),
            ("offers", {"id": "two", "buyer": "acme", "campaign": "auto"}),
        ]:
            assert (await ask(api, "POST", f"/v1/{path}", body)).status == 201
        await ask(api, "DELETE", "/v1/sources/pub")
        file = tmp_path / "exported.yaml"
        file.write_text(await export(database))
        applied = await apply_file(database, BOX, file, SET)
        assert (applied.revision, applied.changed) == (7, False)
