"""Callers' numbers in campaigns are for tokens with scope ``pii`` only."""

from datetime import UTC, datetime, timedelta

import pytest

from storage.database import Database
from tests.http.api_fakes import Api
from tests.http.managed_steps import ask, faults, managing, revision

NUMBER, MASKED = "+13105551234", "+1310*****34"
CAMPAIGN = "/v1/campaigns/solar"
WAITING = "/v1/scheduled-changes"


async def a_blocking_campaign(api: Api) -> None:
    body = {"id": "solar", "caller_blocklist": [NUMBER]}
    assert (await ask(api, "POST", "/v1/campaigns", body, token="admin-pii")).status == 201
    assert (await ask(api, "PATCH", CAMPAIGN, {"name": "Solar"})).status == 200


async def waits(api: Api, token: str) -> str:
    """A change that is to wait, and what its answer said."""
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    patch = {"caller_blocklist": [NUMBER, "+13105550009"]}
    reply = await ask(api, "PATCH", f"{CAMPAIGN}?effective_at={at}", patch, token=token)
    assert reply.status == 202
    return reply.body.decode()


@pytest.mark.parametrize("token", ["read", "admin"])
async def test_a_token_without_pii_sees_masked_numbers_everywhere(
    database: Database, token: str
) -> None:
    async with managing(database) as api:
        await a_blocking_campaign(api)
        await waits(api, "admin-pii")
        paths = ("/v1/campaigns", CAMPAIGN, f"{CAMPAIGN}?revision=2", "/v1/audit", WAITING)
        for path in paths:
            masked = (await ask(api, "GET", path, token=token)).body.decode()
            assert MASKED in masked, path
            assert "5551234" not in masked, path
            assert NUMBER in (await ask(api, "GET", path, token="pii")).body.decode(), path
        [waiting] = (await ask(api, "GET", WAITING, token=token)).json()["scheduled_changes"]
        one = await ask(api, "GET", f"{WAITING}/{waiting['id']}", token=token)
        assert one.json()["patch"] == {"caller_blocklist": [MASKED, "+1310*****09"]}


async def test_the_answer_to_a_change_is_masked_and_the_number_stays(database: Database) -> None:
    async with managing(database) as api:
        body = {"id": "solar", "caller_blocklist": [NUMBER]}
        made = await ask(api, "POST", "/v1/campaigns", body)
        put = await ask(api, "PUT", CAMPAIGN, {**body, "name": "S"})
        patched = await ask(api, "PATCH", CAMPAIGN, {"name": "Solar"})
        for reply in (made, put, patched):
            assert reply.json()["caller_blocklist"] == [MASKED]
        assert "5551234" not in await waits(api, "admin")
        whole = await ask(api, "GET", CAMPAIGN, token="pii")
        assert whole.json()["caller_blocklist"] == [NUMBER]
        assert whole.headers["Etag"] == patched.headers["Etag"]


async def test_a_masked_number_that_is_sent_back_is_refused(database: Database) -> None:
    async with managing(database) as api:
        await a_blocking_campaign(api)
        before = await revision(database)
        for shown in (MASKED, "+*****34", "*****"):
            for method in ("PUT", "PATCH"):
                reply = await ask(api, method, CAMPAIGN, {"caller_blocklist": [shown]})
                assert "is masked" in faults(reply)["caller_blocklist[0]"]
        assert await revision(database) == before
