"""What TrackDrive's operators rely on: buyers of other types, copies of buyers, voice agents."""

from pathlib import Path
from typing import Any

import pytest

from auction.marketplaces import apply_file, export
from config.faults import ConfigError
from config.yaml_file import load_yaml
from storage.catalogue import load
from storage.database import Database
from tests.http.managed_steps import BOX, EXAMPLES, ask, faults, managing, revision
from tests.unit.config.samples import SET

AGENT = "/v1/voice-agents/robin"
BOT = {
    "sip_url": "sip:robin@bots.example",
    "campaign": "auto-insurance",
    "name": "Robin",
    "company": "Voices",
}


async def rules_of(api: Any, *offers: str) -> list[object]:
    """The conversion rules of offers."""
    shown = [(await ask(api, "GET", f"/v1/offers/{each}")).json() for each in offers]
    return [each.get("conversions") for each in shown]


async def test_trackdrive_saving_quality_assurance_destroys_the_conversion_rules_and_says_so(
    database: Database,
) -> None:
    async with managing(database) as api:
        destination = {"destination": {"uri": "sip:qa@acme.example"}}
        await ask(api, "PATCH", "/v1/offers/acme-auto", destination)
        [rules] = await rules_of(api, "acme-auto")
        assert rules
        before = await revision(database)
        saved = await ask(api, "PATCH", "/v1/buyers/acme", {"type": "quality_assurance"})
        assert saved.status == 200, saved.body
        assert saved.json()["destroyed"] == [{"offer": "acme-auto", "conversions": rules}]
        assert await revision(database) == before + 1
        assert await rules_of(api, "acme-auto") == [None]
        back = await ask(api, "PATCH", "/v1/buyers/acme", {"type": "buyer"})
        assert "destroyed" not in back.json()
        [warning] = back.json()["warnings"]
        assert warning["offer"] == "acme-auto"
        assert "bills each call that is answered" in warning["message"]
        again = await ask(api, "PATCH", "/v1/buyers/acme", {"type": "buyer", "name": "A"})
        assert "warnings" not in again.json()
        shown = (await ask(api, "GET", "/v1/buyers/acme")).json()
        assert "warnings" not in shown
        assert await rules_of(api, "acme-auto") == [None]


async def test_trackdrive_an_offer_of_quality_assurance_gets_no_conversion_rules(
    database: Database,
) -> None:
    async with managing(database) as api:
        await ask(api, "PATCH", "/v1/buyers/cobalt", {"type": "quality_assurance"})
        rules = {"conversions": [{"trigger": "answered"}]}
        told = faults(await ask(api, "PATCH", "/v1/offers/cobalt-auto", rules))
        assert "quality_assurance" in told["conversions"]


async def test_trackdrive_a_file_with_quality_assurance_loads_without_its_conversion_rules(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "market.yaml"
    file.write_text("""
campaigns: [{id: auto}]
buyers:
  - id: ears
    type: quality_assurance
    offers:
      - id: ears-auto
        campaign: auto
        destination: {uri: "sip:qa@ears.example"}
        conversions: [{trigger: answered}]
""")
    applied = await apply_file(database, BOX, file, SET)
    [warning] = [each for each in applied.check.warnings if "destroyed" in each.message]
    assert warning.path == "buyers[0].offers[0].conversions"
    async with managing(database, None) as api:
        assert await rules_of(api, "ears-auto") == [None]


async def test_trackdrive_duplicating_a_buyer_first_keeps_its_conversion_rules(
    database: Database,
) -> None:
    async with managing(database) as api:
        copy = await ask(api, "POST", "/v1/buyers/acme/duplicate")
        assert (copy.status, copy.headers["Location"]) == (201, "/v1/buyers/acme-copy")
        shown = copy.json()
        assert (shown["enabled"], shown["offers"]) == (False, ["acme-copy-auto"])
        await ask(api, "PATCH", "/v1/offers/acme-auto", {"destination": {"uri": "sip:a@b.example"}})
        saved = await ask(api, "PATCH", "/v1/buyers/acme", {"type": "quality_assurance"})
        [destroyed] = saved.json()["destroyed"]
        assert await rules_of(api, "acme-copy-auto") == [destroyed["conversions"]]


async def test_trackdrive_a_copy_has_the_secrets_of_the_original_as_they_are_sealed(
    database: Database,
) -> None:
    async with managing(database) as api:
        offer = {**EXAMPLES["offers"], "id": "acme-extra"}
        assert (await ask(api, "POST", "/v1/offers", offer)).status == 201
        body = {"id": "twin", "name": "Twin"}
        assert (await ask(api, "POST", "/v1/buyers/acme/duplicate", body)).status == 201
        again = await ask(api, "POST", "/v1/buyers/acme/duplicate", body)
        assert (again.status, again.json()["type"]) == (409, "urn:pingpost:problem:exists")
        items = {item.id: item for item in (await load(database)).items}
        auth = [items[each].document["ping_post"] for each in ("acme-extra", "twin-extra")]
        assert auth[0] == auth[1]
        assert "sealed" in str(auth[1])


async def test_a_marketplace_with_a_copy_survives_the_round_trip(
    database: Database, tmp_path: Path
) -> None:
    async with managing(database) as api:
        await ask(api, "POST", "/v1/buyers/beacon/duplicate")
        await ask(api, "POST", "/v1/buyers/beacon/duplicate")
        number = await revision(database)
        assert (await ask(api, "GET", "/v1/buyers/beacon-copy-2")).status == 200
        file = tmp_path / "exported.yaml"
        file.write_text(await export(database))
        applied = await apply_file(database, BOX, file, SET)
        assert (applied.revision, applied.changed) == (number, False)


@pytest.mark.parametrize(
    ("path", "body", "status", "path_of_fault"),
    [
        ("/v1/buyers/none/duplicate", None, 404, None),
        ("/v1/buyers/acme/duplicate", {"id": "a b"}, 422, "id"),
        ("/v1/buyers/acme/duplicate", {"ids": "a"}, 422, "ids"),
    ],
)
async def test_copies_that_can_not_be_made(
    database: Database, path: str, body: object, status: int, path_of_fault: str | None
) -> None:
    async with managing(database) as api:
        reply = await ask(api, "POST", path, body)
        assert reply.status == status
        if path_of_fault:
            assert path_of_fault in faults(reply)


async def test_trackdrive_a_voice_bot_is_never_made_by_hand(database: Database) -> None:
    async with managing(database) as api:
        body = {"id": "bot", "type": "voice_bot"}
        for method, path in [("POST", "/v1/buyers"), ("PUT", "/v1/buyers/bot")]:
            assert "PUT /v1/voice-agents/" in faults(await ask(api, method, path, body))["type"]
        told = faults(await ask(api, "PATCH", "/v1/buyers/cobalt", {"type": "voice_bot"}))
        assert "PUT /v1/voice-agents/" in told["type"]
        linked = faults(await ask(api, "PATCH", "/v1/buyers/acme", {"voice_agent": "robin"}))
        assert list(linked) == ["voice_agent"]


async def test_trackdrive_saving_a_voice_agent_makes_exactly_one_voice_bot_linked_back(
    database: Database,
) -> None:
    async with managing(database) as api:
        assert (await ask(api, "PUT", AGENT, BOT)).status == 201
        moved = {**BOT, "sip_url": "sip:robin@other.example"}
        assert (await ask(api, "PUT", AGENT, moved)).status == 200
        bots = (await ask(api, "GET", "/v1/buyers?type=voice_bot")).json()["buyers"]
        made = {"id": "robin", "name": "Robin", "company": "Voices", "type": "voice_bot"}
        assert bots == [{**made, "voice_agent": "robin"}]
        [offer] = (await ask(api, "GET", "/v1/offers?buyer=robin")).json()["offers"]
        assert offer["destination"] == {"uri": "sip:robin@other.example"}
        assert (await ask(api, "DELETE", AGENT)).status == 204
        assert (await ask(api, "GET", "/v1/buyers/robin")).status == 404
        assert (await ask(api, "GET", f"/v1/offers/{offer['id']}")).status == 404


async def test_trackdrive_voice_agents_are_saved_only_where_the_deployment_enables_them(
    database: Database,
) -> None:
    async with managing(database, voice_bots=False) as api:
        for method, path in [("PUT", AGENT), ("PATCH", AGENT), ("POST", "/v1/voice-agents")]:
            refused = await ask(api, method, path, BOT)
            assert refused.status == 409
            assert "PINGPOST_VOICE_BOTS" in refused.json()["detail"]
        assert (await ask(api, "POST", f"{AGENT}/resume")).status == 409
        assert await revision(database) == 1


async def test_trackdrive_a_file_with_voice_agents_loads_only_where_they_are_enabled(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "market.yaml"
    file.write_text("""
campaigns: [{id: auto}]
voice_agents: [{id: robin, campaign: auto, sip_url: "sip:robin@bots.example"}]
""")
    with pytest.raises(ConfigError, match="PINGPOST_VOICE_BOTS"):
        await apply_file(database, BOX, file, SET, voice_bots=False)
    assert await revision(database) == 0
    assert (await apply_file(database, BOX, file, SET)).revision == 1


async def test_what_a_voice_agent_makes_is_changed_by_the_agent_alone(database: Database) -> None:
    async with managing(database) as api:
        await ask(api, "PUT", AGENT, BOT)
        [offer] = (await ask(api, "GET", "/v1/offers?buyer=robin")).json()["offers"]
        for method, path, body in [
            ("PATCH", "/v1/buyers/robin", {"name": "Mine"}),
            ("DELETE", "/v1/buyers/robin", None),
            ("POST", "/v1/buyers/robin/duplicate", None),
            ("PATCH", f"/v1/offers/{offer['id']}", {"weight": 2}),
            ("DELETE", f"/v1/offers/{offer['id']}", None),
            ("POST", "/v1/offers", {**EXAMPLES["offers"], "buyer": "robin"}),
        ]:
            refused = await ask(api, method, path, body)
            assert (refused.status, refused.json()["type"][-19:]) == (409, "made-by-voice-agent")
        rule = {"action": "reject", "offers": [offer["id"]]}
        number = {**EXAMPLES["numbers"], "rules": [rule]}
        assert (await ask(api, "POST", "/v1/numbers", number)).status == 201
        assert (await ask(api, "DELETE", AGENT)).json()["type"].endswith("in-use")


async def test_a_voice_agent_takes_no_id_of_a_buyer(database: Database) -> None:
    async with managing(database) as api:
        taken = await ask(api, "PUT", "/v1/voice-agents/acme", BOT)
        assert "another buyer" in faults(taken)["id"]
        tel = await ask(api, "PUT", AGENT, {**BOT, "sip_url": "tel:+18005550100"})
        assert "SIP" in faults(tel)["sip_url"]


async def test_buyers_that_agents_make_are_left_out_of_an_export_and_made_again_by_apply(
    database: Database, tmp_path: Path
) -> None:
    async with managing(database) as api:
        await ask(api, "PUT", AGENT, BOT)
        await ask(api, "POST", "/v1/buyers", {"id": "later"})
        await ask(api, "PUT", "/v1/voice-agents/wren", {**BOT, "name": "Wren"})
        before = await load(database)
        text = await export(database)
        data = load_yaml(text)
        assert isinstance(data, dict)
        assert "robin" not in [each["id"] for each in data["buyers"]]
        assert [each["id"] for each in data["voice_agents"]] == ["robin", "wren"]
        file = tmp_path / "exported.yaml"
        file.write_text(text)
        applied = await apply_file(database, BOX, file, SET)
        assert (applied.revision, applied.changed) == (before.revision, False)
        assert await load(database) == before


async def test_trackdrive_a_buyer_has_its_own_id_a_user_facing_one_and_a_company(
    database: Database,
) -> None:
    async with managing(database) as api:
        body = {"id": "delta", "external_id": "TD-4711", "company": "Delta Holding"}
        assert (await ask(api, "POST", "/v1/buyers", body)).status == 201
        found = (await ask(api, "GET", "/v1/buyers?company=Delta%20Holding")).json()["buyers"]
        assert found == [body]
        copy = (await ask(api, "POST", "/v1/buyers/delta/duplicate")).json()
        assert (copy["company"], copy.get("external_id")) == ("Delta Holding", None)
