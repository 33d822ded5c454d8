"""The audit log: every change, who made it, before and after, no secret in it."""

from pathlib import Path
from typing import Any

import pytest

from auction.marketplaces import apply_file
from storage.audit import Note, add_note
from storage.database import Database
from tests.http.api_fakes import Api
from tests.http.managed_steps import BOX, EXAMPLES, ask, faults, managing
from tests.unit.config.samples import ACCEPTANCE, SET


async def log(api: Api, query: str = "") -> list[dict[str, Any]]:
    reply = await ask(api, "GET", f"/v1/audit?{query}", token="read")
    assert reply.status == 200, reply.body
    entries: list[dict[str, Any]] = reply.json()["entries"]
    return entries


async def test_every_change_is_told_with_who_made_it_before_and_after(database: Database) -> None:
    path = "/v1/sources/new"
    async with managing(database) as api:
        await ask(api, "POST", "/v1/sources", {"id": "new", "name": "A"})
        await ask(api, "PATCH", path, {"name": "B"})
        await ask(api, "DELETE", path)
        told = [
            (each["action"], each["revision"], each["before"], each["after"])
            for each in await log(api, "kind=source&id=new")
        ]
        a, b = {"id": "new", "name": "A"}, {"id": "new", "name": "B"}
        assert told == [("delete", 4, b, None), ("update", 3, a, b), ("create", 2, None, a)]
        [newest] = await log(api, "limit=1")
        assert (newest["actor"], newest["origin"]) == ("someone (tok_1)", "api")
        [of_file] = await log(api, "kind=buyer&id=acme")
        assert (of_file["actor"], of_file["origin"]) == (f"file {ACCEPTANCE.resolve()}", "file")


async def test_the_log_is_read_page_by_page_across_revisions(database: Database) -> None:
    async with managing(database) as api:
        for number in range(3):
            await ask(api, "POST", "/v1/sources", {"id": f"s{number}"})
        async with database.transaction() as connection:
            await add_note(connection, Note("api", "ops (tok_9)", "token", "tok_9", "create"))
        whole = await log(api)
        found: list[dict[str, Any]] = []
        after = ""
        for _ in range(len(whole)):
            reply = (await ask(api, "GET", f"/v1/audit?limit=1{after}")).json()
            found += reply["entries"]
            after = f"&after={reply['next']}"
        assert reply["next"] is None
        assert found == whole
        assert [whole[0]["kind"], whole[0]["action"]] == ["token", "create"]


async def test_the_log_is_filtered(database: Database, tmp_path: Path) -> None:
    async with managing(database) as api:
        await ask(api, "PATCH", "/v1/offers/acme-auto", {"weight": 3})
        at = (await log(api, "limit=1"))[0]["at"]
        await ask(api, "PATCH", "/v1/offers/acme-auto", {"weight": 4})
        assert len(await log(api, "kind=offer&id=acme-auto")) == 3
        assert len(await log(api, "actor=tok_1")) == 2
        assert len(await log(api, "actor=someone%20(tok_1)")) == 2
        assert await log(api, "actor=tok%25") == []
        assert len(await log(api, f"kind=offer&id=acme-auto&to={at}")) == 1
        assert len(await log(api, "from=2999-01-01")) == 0


@pytest.mark.parametrize("path", ["campaigns", "offers", "delivery-profiles", "alerts"])
async def test_no_secret_is_in_the_log_nor_in_the_database(database: Database, path: str) -> None:
    async with managing(database) as api:
        made = await ask(api, "POST", f"/v1/{path}", EXAMPLES[path])
        name = made.json()["id"]
        await ask(api, "PATCH", f"/v1/{path}/{name}", {"name": "Other", "weight": 3})
        await ask(api, "DELETE", f"/v1/{path}/{name}")
        for asked in (f"/v1/audit?id={name}", f"/v1/{path}/{name}?revision=2"):
            reply = await ask(api, "GET", asked)
            assert reply.body.count(b'{"keep":true}') >= 1
            assert b"sealed" not in reply.body
            assert b"correct horse" not in reply.body
    assert "correct horse" not in await everything_stored(database)


async def everything_stored(database: Database) -> str:
    async with database.connection() as connection:
        text = await connection.fetchval(
            """select string_agg(document::text, ' ') from catalogue_items"""
        )
    return str(text)


async def test_a_secret_is_shown_as_kept_in_the_log(database: Database) -> None:
    async with managing(database) as api:
        await ask(api, "POST", "/v1/offers", EXAMPLES["offers"])
        reply = await ask(api, "GET", "/v1/audit?kind=offer&id=delta-auto")
        assert b"sealed" not in reply.body
        assert b"correct horse" not in reply.body
        [entry] = reply.json()["entries"]
        assert entry["after"]["ping_post"]["ping"]["auth"]["token"] == {"keep": True}


async def test_what_a_file_omits_is_audited_as_deleted(database: Database, tmp_path: Path) -> None:
    async with managing(database) as api:
        file = tmp_path / "less.yaml"
        file.write_text("campaigns: [{id: auto-insurance}]")
        await apply_file(database, BOX, file, SET)
        assert [each["action"] for each in await log(api, "kind=offer&limit=4")] == ["delete"] * 4


async def test_bad_queries_of_the_log_are_refused(database: Database) -> None:
    async with managing(database, None) as api:
        for query in ["after=x", "after=AAAA", "limit=0", "from=x", "kind=%00", "color=red"]:
            assert list(faults(await ask(api, "GET", f"/v1/audit?{query}"))) == [
                query.partition("=")[0]
            ]
