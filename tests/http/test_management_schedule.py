"""Changes with ``effective_at``: applied on time, once, by any process; never lost."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from auction.web.management.due import DueChanges
from config.sealing import resolve_secret
from config.secret_box import SecretBox
from config.secret_values import Secret
from storage.database import Database
from storage.managing import change, read_item
from storage.rotation import rotate
from tests.eventually import eventually
from tests.http.api_fakes import Api
from tests.http.managed_steps import BOX, EXAMPLES, ask, faults, managing, revision, the_box

OFFER = "/v1/offers/acme-auto"
WAITING = "/v1/scheduled-changes"


def soon(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat().replace("+00:00", "Z")


async def scheduled(api: Api, patch: object, path: str = OFFER, **ahead: float) -> dict[str, Any]:
    at = soon(**(ahead or {"hours": 1}))
    reply = await ask(api, "PATCH", f"{path}?effective_at={at}", patch)
    assert reply.status == 202, reply.body
    assert reply.headers["Location"] == f"{WAITING}/{reply.json()['id']}"
    waiting: dict[str, Any] = reply.json()
    return waiting


async def come_due(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("update scheduled_changes set effective_at = now()")


async def one(api: Api, waiting: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(api, "GET", f"{WAITING}/{waiting['id']}")).json()
    return found


async def test_a_change_takes_effect_on_time(database: Database) -> None:
    async with managing(database) as api:
        waiting = await scheduled(api, {"weight": 7}, milliseconds=300)
        assert (waiting["state"], waiting["patch"]) == ("pending", {"weight": 7})
        assert (await ask(api, "GET", OFFER)).json().get("weight") is None
        running = asyncio.create_task(DueChanges(database, the_box).run())

        async def applied() -> bool:
            return bool((await one(api, waiting))["state"] == "applied")

        await eventually(applied)
        running.cancel()
        done = await one(api, waiting)
        late = datetime.fromisoformat(done["settled_at"]) - datetime.fromisoformat(
            done["effective_at"]
        )
        assert timedelta(0) <= late < timedelta(seconds=3)
        assert (await ask(api, "GET", OFFER)).json()["weight"] == 7
        [entry] = (await ask(api, "GET", "/v1/audit?limit=1")).json()["entries"]
        assert (entry["origin"], entry["actor"]) == ("schedule", "someone (tok_1)")
        assert (entry["revision"], entry["note"]) == (
            done["revision"],
            f"scheduled change {waiting['id']}",
        )


async def test_of_many_processes_one_applies_it_once(database: Database) -> None:
    async with managing(database) as api:
        for number in range(3):
            await scheduled(api, {"weight": number + 5}, hours=number + 1)
        await come_due(database)
        jobs = [DueChanges(database, the_box) for _ in range(4)]
        done = await asyncio.gather(*(job.apply_next() for job in jobs))
        assert sorted(done) == [False, True, True, True]
        assert await revision(database) == 4


async def test_a_process_that_dies_while_applying_leaves_it_to_the_next(
    database: Database,
) -> None:
    async with managing(database) as api:
        waiting = await scheduled(api, {"weight": 7})
        await come_due(database)
        async with change(database):
            killed = asyncio.create_task(DueChanges(database, the_box).apply_next())
            await asyncio.wait([killed], timeout=0.05)
            killed.cancel()
            await asyncio.wait([killed])
        assert killed.cancelled()
        assert (await one(api, waiting))["state"] == "pending"
        assert await DueChanges(database, the_box).apply_next()
        assert (await one(api, waiting))["state"] == "applied"
        assert not await DueChanges(database, the_box).apply_next()


async def test_a_change_that_no_longer_fits_fails_with_its_reason_and_is_audited(
    database: Database,
) -> None:
    async with managing(database) as api:
        await ask(api, "POST", "/v1/campaigns", EXAMPLES["campaigns"])
        moved = await scheduled(api, {"campaign": "solar"}, hours=1)
        later = await scheduled(api, {"weight": 9}, hours=2)
        await ask(api, "DELETE", "/v1/campaigns/solar")
        await come_due(database)
        assert await DueChanges(database, the_box).apply_next()
        assert await DueChanges(database, the_box).apply_next()
        failed = await one(api, moved)
        assert failed["state"] == "failed"
        assert "campaign names a campaign that is not there" in failed["error"]
        assert (await one(api, later))["state"] == "applied"
        query = "kind=offer&id=acme-auto&limit=2"
        entries = (await ask(api, "GET", f"/v1/audit?{query}")).json()["entries"]
        [note] = [each["note"] for each in entries if each["action"] == "failed"]
        assert moved["id"] in note
        assert "not there" in note


async def test_a_change_of_what_was_deleted_fails(database: Database) -> None:
    async with managing(database) as api:
        waiting = await scheduled(api, {"weight": 9})
        await ask(api, "DELETE", OFFER)
        await come_due(database)
        await DueChanges(database, the_box).apply_next()
        assert (await one(api, waiting))["error"] == "There is no offer of this id."


async def test_a_change_is_cancelled_once(database: Database) -> None:
    async with managing(database) as api:
        waiting = await scheduled(api, {"weight": 9})
        path = f"{WAITING}/{waiting['id']}"
        assert (await ask(api, "DELETE", path)).json()["state"] == "cancelled"
        assert (await ask(api, "DELETE", path)).status == 409
        await come_due(database)
        assert not await DueChanges(database, the_box).apply_next()
        actions = (await ask(api, "GET", "/v1/audit?limit=2")).json()["entries"]
        assert [each["action"] for each in actions] == ["cancel", "schedule"]


async def test_secrets_of_a_change_are_sealed_while_it_waits(database: Database) -> None:
    path = "/v1/sources/pub-17"
    async with managing(database) as api:
        waiting = await scheduled(api, {"token": "correct horse"}, path)
        assert waiting["patch"] == {"token": {"keep": True}}
        async with database.connection() as connection:
            stored = await connection.fetchval("select patch::text from scheduled_changes")
        assert "correct horse" not in stored
        await come_due(database)
        await DueChanges(database, the_box).apply_next()
        assert (await ask(api, "GET", path)).json()["token"] == {"keep": True}


async def test_the_secrets_of_a_change_follow_the_key_when_it_is_rotated(
    database: Database,
) -> None:
    path = "/v1/sources/pub-17"
    new = SecretBox(bytes(reversed(range(32))))

    async def the_new_box() -> SecretBox:
        return new

    async with managing(database) as api:
        waiting = await scheduled(api, {"token": "correct horse"}, path)
        await rotate(database, BOX, new)
        await come_due(database)
        await DueChanges(database, the_new_box).apply_next()
        assert (await one(api, waiting))["state"] == "applied"
        held = await read_item(database, "source", "pub-17")
        assert held is not None
        token = Secret.read(held.item.document["token"])
        assert resolve_secret(token, new, {}) == "correct horse"


async def test_numbers_are_kept_exactly_while_a_change_waits(database: Database) -> None:
    async with managing(database) as api:
        patch = {"static_price": 18.1}
        await scheduled(api, patch, "/v1/offers/cobalt-auto")
        await come_due(database)
        await DueChanges(database, the_box).apply_next()
        shown = (await ask(api, "GET", "/v1/offers/cobalt-auto")).json()
        assert shown["static_price"] == "18.1"


async def test_what_can_not_take_effect_is_refused_at_once(database: Database) -> None:
    async with managing(database) as api:
        later = soon(hours=1)
        bad = await ask(api, "PATCH", f"{OFFER}?effective_at={later}", {"weight": -1})
        assert list(faults(bad)) == ["weight"]
        for at in ["2020-01-01T00:00:00Z", "tomorrow", "2099-01-01T00:00:00"]:
            reply = await ask(api, "PATCH", f"{OFFER}?effective_at={at}", {"weight": 1})
            assert list(faults(reply)) == ["effective_at"]
        stale = await ask(
            api, "PATCH", f"{OFFER}?effective_at={later}", {"weight": 1}, If_Match='"9"'
        )
        assert stale.status == 412
        unknown = await ask(api, "PATCH", f"/v1/offers/none?effective_at={later}", {})
        assert unknown.status == 404
        assert (await ask(api, "GET", WAITING)).json()["scheduled_changes"] == []
        assert await revision(database) == 1


async def test_waiting_changes_are_listed_in_the_order_of_their_time(database: Database) -> None:
    async with managing(database) as api:
        ids = [(await scheduled(api, {"weight": n}, hours=9 - n))["id"] for n in range(3)]
        await ask(api, "DELETE", f"{WAITING}/{ids[0]}")
        found: list[str] = []
        after = ""
        for _ in range(3):
            page = (await ask(api, "GET", f"{WAITING}?limit=1{after}")).json()
            found += [each["id"] for each in page["scheduled_changes"]]
            after = f"&after={page['next']}"
        assert (found, page["next"]) == (ids[::-1], None)
        query = "state=pending&kind=offer&item=acme-auto"
        page = (await ask(api, "GET", f"{WAITING}?{query}")).json()
        assert [each["id"] for each in page["scheduled_changes"]] == ids[:0:-1]
        assert list(faults(await ask(api, "GET", f"{WAITING}?state=x"))) == ["state"]
        assert (await ask(api, "GET", f"{WAITING}/none")).status == 404
        assert (await ask(api, "DELETE", f"{WAITING}/{ids[1]}", token="read")).status == 403
