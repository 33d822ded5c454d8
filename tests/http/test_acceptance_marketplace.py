"""The whole service as a process, on the acceptance marketplace, between switch and buyers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from buyers.simulator.script import load_script
from buyers.simulator.server import SimulatedBuyers
from tests.eventually import eventually
from tests.service_process import AUTHORISED, ServiceProcess, Switch, a_service, a_switch

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIXTURES = Path(__file__).parent.parent / "fixtures"
SECRETS = {"ACME_TOKEN": "acme-secret-token", "BEACON_KEY": "beacon-secret-key"}
CALLER = "+13105551234"


@dataclass(slots=True)
class Scene:
    """A service, its buyers and a switch."""

    service: ServiceProcess
    buyers: SimulatedBuyers
    switch: Switch
    calls: int = 0
    routed: set[str] = field(default_factory=set)

    async def route(self, **changes: object) -> dict[str, Any]:
        """Ask for a route for one more caller."""
        self.calls += 1
        call = {
            "call_id": f"{self.calls}@switch-1",
            "dialed_number": "+18005550100",
            "caller_id": CALLER,
            "source": "pub-17",
            "fields": {"vertical": "auto_insurance", "zip_code": "90210", "email": "jo@x.example"},
            "timeout_ms": 1800,
            **changes,
        }
        decision = await self.switch.route(self.service, **call)
        if decision["action"] == "route":
            self.routed.add(decision["call_id"])
        return decision

    async def hang_up(self, call_id: str, **changes: object) -> None:
        """End a call that nobody answered, unless told otherwise."""
        ended = {
            "call_id": call_id,
            "event_id": "hang-up",
            "type": "ended",
            "at": "2026-11-21T18:00:00Z",
            **changes,
        }
        assert await self.switch.report(self.service, **ended) == 200
        self.routed.discard(call_id)

    async def all_free(self) -> bool:
        """Whether eligibility sees every slot free again."""
        call_id = (await self.route())["call_id"]
        outcomes = await self.outcomes(call_id)
        await self.hang_up(call_id)
        return "concurrency_full" not in outcomes.values()

    async def outcomes(self, call_id: str) -> dict[str, str]:
        """What the trace says of each offer."""
        record = await self.switch.record(self.service, call_id)
        return {entry["offer"]: entry["outcome"] for entry in record["trace"]["offers"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("acceptance")
    script = load_script(FIXTURES / "buyers.yaml", SECRETS)
    async with AsyncExitStack() as stack:
        buyers = await stack.enter_async_context(SimulatedBuyers(script, free_ports=True))
        text = (FIXTURES / "marketplace.yaml").read_text()
        text = text.replace(":9101/", f":{buyers.port('acme')}/")
        text = text.replace(":9102/", f":{buyers.port('beacon')}/")
        marketplace = folder / "marketplace.yaml"
        marketplace.write_text(text)
        service = await stack.enter_async_context(
            a_service(folder / "data", "--marketplace", str(marketplace), environment=SECRETS)
        )
        switch = await stack.enter_async_context(a_switch())
        yield Scene(service, buyers, switch)


@pytest_asyncio.fixture(loop_scope="module")
async def scene(stage: Scene) -> AsyncIterator[Scene]:
    script = load_script(FIXTURES / "buyers.yaml", SECRETS)
    yield stage
    for call_id in sorted(stage.routed):
        await stage.hang_up(call_id)
    await eventually(stage.all_free)
    for buyer in script.buyers:
        stage.buyers.change(
            buyer.name,
            ping=buyer.ping.model_dump(),
            post=buyer.post.model_dump(),
        )


async def test_the_best_bid_is_posted_and_its_buyer_gets_the_call(scene: Scene) -> None:
    decision = await scene.route()
    assert (decision["action"], decision["routed_by"]) == ("route", "auction")
    assert (decision["offer"], decision["price"]) == ("acme-auto", "52.00")
    assert decision["destination"]["uri"] == "sip:auto@127.0.0.1:5071"
    assert decision["minimum_duration_s"] == 90
    assert await scene.outcomes(decision["call_id"]) == {
        "acme-auto": "won",
        "beacon-auto": "outbid",
        "cobalt-auto": "standby",
        "cobalt-overflow": "standby",
    }


async def test_bids_below_the_minimum_leave_the_call_to_the_static_offer(scene: Scene) -> None:
    scene.buyers.change("acme", ping={"bid": "20.00"})
    scene.buyers.change("beacon", ping={"bid": "10.00"})
    decision = await scene.route()
    assert (decision["routed_by"], decision["offer"]) == ("static", "cobalt-auto")
    assert decision["price"] == "18.00"
    assert decision["destination"] == {
        "uri": "tel:+18885550142",
        "dial_timeout_s": 15,
        "send_digits": "1",
        "whisper": None,
    }
    outcomes = await scene.outcomes(decision["call_id"])
    assert outcomes["acme-auto"] == outcomes["beacon-auto"] == "below_minimum"


async def test_buyers_that_hang_cost_their_timeout_and_the_static_offer_wins(scene: Scene) -> None:
    scene.buyers.change("acme", ping={"behaviours": {"hang": 1}})
    scene.buyers.change("beacon", ping={"behaviours": {"hang": 1}})
    decision = await scene.route()
    assert (decision["routed_by"], decision["offer"]) == ("static", "cobalt-auto")
    assert 500 <= decision["elapsed_ms"] < 1800
    outcomes = await scene.outcomes(decision["call_id"])
    assert outcomes["acme-auto"] == outcomes["beacon-auto"] == "timeout"


async def test_a_repeat_gets_the_same_answer_and_nobody_is_asked_again(scene: Scene) -> None:
    first = await scene.route(call_id="repeat@switch-1")
    pings = [scene.buyers.buyer(name).counts.pings for name in scene.buyers.names]
    second = await scene.route(call_id="repeat@switch-1", timeout_ms=900)
    assert second == first
    assert [scene.buyers.buyer(name).counts.pings for name in scene.buyers.names] == pings


async def test_the_same_call_id_with_other_content_is_a_conflict(scene: Scene) -> None:
    await scene.route(call_id="conflict@switch-1")
    other = {"call_id": "conflict@switch-1", "dialed_number": "+18005550101"}
    url = f"{scene.service.url}/v1/calls"
    async with scene.switch.session.post(url, json=other) as response:
        assert response.status == 409
        assert response.content_type == "application/problem+json"


async def test_an_unknown_number_is_a_no_route_that_does_not_bind(scene: Scene) -> None:
    decision = await scene.route(call_id="unknown@switch-1", dialed_number="+18005559999")
    assert (decision["action"], decision["reason"]) == ("no_route", "unknown_campaign")
    again = await scene.route(call_id="unknown@switch-1")
    assert again["action"] == "route"


async def test_answered_and_ended_settle_the_call_and_free_its_slot(scene: Scene) -> None:
    decision = await scene.route()
    call = decision["call_id"]
    answered = {"call_id": call, "event_id": "a", "type": "answered", "at": "2026-11-21T18:00:00Z"}
    ended = {
        "call_id": call,
        "event_id": "e",
        "type": "ended",
        "at": "2026-11-21T18:02:00Z",
        "connected_duration_s": 120.0,
        "total_duration_s": 126.5,
        "ended_by": "caller",
    }
    assert await scene.switch.report(scene.service, **answered) == 200
    assert await scene.switch.report(scene.service, **ended) == 200
    assert await scene.switch.report(scene.service, **ended) == 200
    assert await scene.switch.report(scene.service, **{**ended, "ended_by": "target"}) == 409
    cdr = (await scene.switch.record(scene.service, call))["cdr"]
    assert (cdr["state"], cdr["converted"], cdr["conversion_trigger"]) == ("ended", True, "timer")
    assert (cdr["revenue"], cdr["price"], cdr["currency"]) == ("52.00", "52.00", "USD")
    assert (cdr["connected_duration_s"], cdr["total_duration_s"]) == (120, 126.5)


async def test_a_call_shorter_than_the_timer_earns_nothing(scene: Scene) -> None:
    call = (await scene.route())["call_id"]
    await scene.hang_up(call, connected_duration_s=89.6, total_duration_s=95)
    cdr = (await scene.switch.record(scene.service, call))["cdr"]
    assert (cdr["converted"], cdr["revenue"]) == (False, "0.00")


async def test_concurrency_refuses_and_frees_with_the_end_of_a_call(scene: Scene) -> None:
    live: list[str] = []
    while (decision := await scene.route())["offer"] == "acme-auto":
        live.append(decision["call_id"])
        assert len(live) <= 3
    assert decision["offer"] == "beacon-auto"
    assert (await scene.outcomes(decision["call_id"]))["acme-auto"] == "concurrency_full"
    await scene.hang_up(live[0])

    async def acme_wins() -> bool:
        return bool((await scene.route())["offer"] == "acme-auto")

    assert await eventually(acme_wins)


async def test_the_caller_is_masked_and_pings_carry_no_private_data(scene: Scene) -> None:
    decision = await scene.route()
    url = f"{scene.service.url}/v1/calls/{decision['call_id']}"
    async with scene.switch.session.get(url) as response:
        assert (await response.json())["cdr"]["caller_id"] == CALLER
    for name in scene.buyers.names:
        assert scene.buyers.buyer(name).counts.plain_caller_ids == 0
    assert CALLER not in scene.service.log
    assert all(secret not in scene.service.log for secret in SECRETS.values())


async def test_every_metric_of_the_contract_is_there(scene: Scene) -> None:
    await scene.route()
    async with scene.switch.session.get(f"{scene.service.ops_url}/metrics") as response:
        text = await response.text()
    families = {family.name for family in text_string_to_metric_families(text)}
    assert {
        "pingpost_calls",
        "pingpost_pings",
        "pingpost_ping_seconds",
        "pingpost_bids",
        "pingpost_bid_amount",
        "pingpost_posts",
        "pingpost_post_seconds",
        "pingpost_decision_seconds",
        "pingpost_overhead_seconds",
        "pingpost_live_calls",
        "pingpost_cap_used_ratio",
        "pingpost_revenue",
        "pingpost_breaker_state",
        "pingpost_ledger_batch_size",
        "pingpost_event_loop_lag_seconds",
    } <= families
    assert 'pingpost_revenue_total{campaign="auto-insurance",currency="USD"} ' in text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not json", 400),
        (b"[]", 422),
        (b'{"call_id": "x"}', 422),
        (b'{"call_id": 7, "campaign": "auto-insurance"}', 422),
        (b'{"call_id": "a\\u0000b", "campaign": "auto-insurance"}', 422),
        (b'{"call_id": "' + b"x" * 129 + b'", "campaign": "auto-insurance"}', 422),
        (b'{"call_id": "x", "campaign": "auto-insurance", "timeout_ms": "soon"}', 422),
        (b'{"call_id": "x", "campaign": "auto-insurance", "fields": {"a": [1]}}', 422),
        (b'{"call_id": "' + b"x" * 1_048_576 + b'"}', 413),
    ],
)
async def test_bad_input_gets_a_problem_and_changes_nothing(
    scene: Scene, body: bytes, status: int
) -> None:
    url = f"{scene.service.url}/v1/calls"
    async with scene.switch.session.post(url, data=BytesIO(body)) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        problem = await response.json()
    assert problem["status"] == status
    async with scene.switch.session.get(f"{url}/x") as response:
        assert response.status == 404


async def test_a_wrong_token_is_refused(scene: Scene) -> None:
    headers = {"Authorization": "Bearer wrong"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{scene.service.url}/v1/calls", json={"call_id": "x"}) as response,
    ):
        assert response.status == 401
    assert AUTHORISED["Authorization"] not in scene.service.log
