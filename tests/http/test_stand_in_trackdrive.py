"""What TrackDrive's operators rely on, through a real service: who is never asked nor billed.

What saving, copying and voice agents do to buyers is in ``test_trackdrive_rules``.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.eventually import eventually
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKETPLACE = """
campaigns:
  - id: auto
    name: Auto
    numbers: ["+18005550100"]
    payouts: [{source: "*", trigger: answered, amount: "5.00"}]
  - {id: home, name: Home, numbers: ["+18005550101"]}
  - {id: capped, name: Capped, numbers: ["+18005550102"]}
buyers:
  - id: ears
    name: Ears
    type: quality_assurance
    offers:
      - id: ears-auto
        campaign: auto
        destination: {uri: "sip:qa@ears.example"}
        static_price: "25.00"
        ping_post: {ping: {url: "http://127.0.0.1:9/ping"}}
        filters: [{field: listen, value: true}]
  - id: first
    name: First
    offers:
      - id: first-capped
        campaign: capped
        destination: {uri: "sip:first@first.example"}
        static_price: "30.00"
        caps: [{measure: calls, per: day, limit: 2}]
        conversions: [{trigger: timer, connected_s: 90}]
  - id: second
    name: Second
    offers:
      - id: second-capped
        campaign: capped
        destination: {uri: "sip:second@second.example"}
        static_price: "20.00"
        priority: 2
        caps: [{measure: conversions, per: day, limit: 1}]
  - id: third
    name: Third
    offers:
      - id: third-capped
        campaign: capped
        destination: {uri: "sip:third@third.example"}
        static_price: "10.00"
        priority: 3
        caps: [{measure: revenue, per: day, limit: "15.00"}]
"""
AGENT = {"sip_url": "sip:robin@bots.example", "campaign": "home", "name": "Robin"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[ServiceProcess, Switch]]:
    folder: Path = tmp_path_factory.mktemp("trackdrive")
    marketplace = folder / "marketplace.yaml"
    marketplace.write_text(MARKETPLACE)
    arguments = ("--marketplace", str(marketplace))
    environment = {"PINGPOST_VOICE_BOTS": "true"}
    async with (
        a_service(folder / "data", *arguments, environment=environment) as service,
        a_switch() as switch,
    ):
        yield service, switch


async def answered(service: ServiceProcess, switch: Switch, decision: Any) -> dict[str, Any]:
    """The CDR of a routed call that lasted ten minutes."""
    ended = {
        "call_id": decision["call_id"],
        "event_id": "end",
        "type": "ended",
        "at": datetime.now(UTC).isoformat(),
        "connected_duration_s": 600,
        "total_duration_s": 610,
    }
    assert await switch.report(service, **ended) == 200
    cdr: dict[str, Any] = (await switch.record(service, decision["call_id"]))["cdr"]
    return cdr


async def test_trackdrive_quality_assurance_is_routed_statically_at_0_never_billed_and_pays_nobody(
    market: tuple[ServiceProcess, Switch],
) -> None:
    service, switch = market
    decision = await switch.route(
        service,
        call_id="1@s",
        dialed_number="+18005550100",
        caller_id="+13105550001",
        source="pub-1",
        fields={"listen": True},
    )
    assert (decision["offer"], decision["routed_by"]) == ("ears-auto", "static")
    assert decision["price"] == "0.00"
    record = await switch.record(service, "1@s")
    assert record["trace"]["offers"][0]["ms"] is None, "it is never pinged"
    cdr = await answered(service, switch, decision)
    assert (cdr["revenue"], cdr["converted"], cdr["payout"]) == ("0.00", False, "0.00")
    assert cdr["buyer"] == "ears", "found apart by its buyer"


async def test_trackdrive_a_voice_agent_takes_calls_at_its_sip_url_once_it_is_saved(
    market: tuple[ServiceProcess, Switch],
) -> None:
    service, switch = market
    for status in (201, 200):
        url = f"{service.url}/v1/voice-agents/robin"
        async with switch.session.put(url, json=AGENT) as response:
            assert response.status == status, await response.text()
    async with switch.session.get(f"{service.url}/v1/buyers?type=voice_bot") as response:
        [bot] = (await response.json())["buyers"]
    assert (bot["id"], bot["voice_agent"]) == ("robin", "robin")
    calls = iter(range(100))

    async def routed() -> dict[str, Any] | None:
        call_id = f"{next(calls)}@home"
        decision = await switch.route(
            service, call_id=call_id, dialed_number="+18005550101", caller_id="+13105550002"
        )
        return decision if decision["action"] == "route" else None

    decision = await eventually(routed, within_s=2.0)
    assert decision is not None
    assert decision["destination"]["uri"] == "sip:robin@bots.example"
    assert (decision["routed_by"], decision["price"]) == ("static", "0.00")
    cdr = await answered(service, switch, decision)
    assert (cdr["revenue"], cdr["converted"]) == ("0.00", False)


async def test_trackdrive_caps_on_calls_conversions_and_revenue_pass_calls_down_by_priority(
    market: tuple[ServiceProcess, Switch],
) -> None:
    service, switch = market

    async def routed(number: int) -> dict[str, Any]:
        return await switch.route(
            service,
            call_id=f"{number}@capped",
            dialed_number="+18005550102",
            caller_id=f"+1310555{number:04}",
        )

    decisions = [await routed(number) for number in range(5)]
    assert [each["offer"] for each in decisions] == [
        "first-capped",
        "first-capped",
        "second-capped",
        "third-capped",
        None,
    ]
    trace = (await switch.record(service, "4@capped"))["trace"]["offers"]
    assert {each["detail"] for each in trace} == {
        "calls per day",
        "conversions per day",
        "revenue per day",
    }
    converted = await answered(service, switch, decisions[0])
    assert (converted["conversion_trigger"], converted["revenue"]) == ("timer", "30.00")
