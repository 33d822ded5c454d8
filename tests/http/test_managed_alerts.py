"""Alert rules over the management API."""

from storage.database import Database
from tests.http.managed_steps import EXAMPLES, ask, faults, managing

RULE = EXAMPLES["alerts"]


async def test_a_rule_is_checked_against_what_it_names(database: Database) -> None:
    async with managing(database) as api:
        unknown = {**RULE, "buyer": None, "offer": "gone"}
        refused = await ask(api, "POST", "/v1/alerts", unknown)
        assert faults(refused) == {"offer": "names an offer that is not there"}
        reserved = await ask(api, "POST", "/v1/alerts", {**RULE, "id": "active"})
        assert list(faults(reserved)) == ["id"]
        assert (await ask(api, "POST", "/v1/alerts", RULE)).status == 201
        assert (await ask(api, "DELETE", "/v1/buyers/acme")).status == 409


async def test_a_rule_is_switched_off_and_its_secrets_stay_hidden(database: Database) -> None:
    async with managing(database) as api:
        made = await ask(api, "POST", "/v1/alerts", RULE)
        assert made.json()["webhook"]["secret"] == {"keep": True}
        paused = await ask(api, "POST", "/v1/alerts/slow/pause")
        assert paused.json()["enabled"] is False
        listed = await ask(api, "GET", "/v1/alerts?enabled=false&measure=timeout_rate")
    assert "correct horse" not in f"{made.body!r}{paused.body!r}{listed.body!r}"
