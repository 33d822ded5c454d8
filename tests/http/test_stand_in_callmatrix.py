"""What CallMatrix's offer page promises, kept by the real service: caps, their bars, the page."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.eventually import eventually
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW_YORK = ZoneInfo("America/New_York")
MARKETPLACE = """
sources:
  - {{id: pub-17, name: Site}}
campaigns:
  - {{id: bars, name: Bars, numbers: ["+18005550100"]}}
  - {{id: page, name: Page, numbers: ["+18005550101"]}}
buyers:
  - id: cobalt
    name: Cobalt
    concurrency: 40
    offers:
      - id: cobalt-bars
        campaign: bars
        destination: {{uri: "tel:+18885550142"}}
        static_price: "18.00"
        concurrency: 20
        caps:
          - {{measure: calls, per: day, limit: 10}}
          - {{measure: calls, per: month, limit: 300}}
          - {{measure: revenue, per: day, limit: 1800}}
  - id: acme
    name: Acme
    offers:
      - id: acme-page
        campaign: page
        destination: {{uri: "sip:sales@acme.example", dial_timeout_s: 20, send_digits: "1w2"}}
        static_price: "12.00"
        conversions: [{{trigger: timer, connected_s: 90}}]
        ping_post:
          minimum_bid: "35.00"
          ping: {{url: "{url}/ping", timeout_ms: 1500}}
          post: {{url: "{url}/post", timeout_ms: 1500}}
"""


@dataclass(slots=True)
class Stage:
    """A service, a buyer and a switch."""

    service: ServiceProcess
    switch: Switch
    reader: str = ""

    async def route(self, number: str, call_id: str) -> str | None:
        decision = await self.switch.route(
            self.service, call_id=call_id, dialed_number=number, caller_id="+13105551234"
        )
        offer: str | None = decision["offer"]
        return offer

    async def ended(self, call_id: str, connected_s: int) -> None:
        report = {
            "call_id": call_id,
            "event_id": "end",
            "type": "ended",
            "at": datetime.now(UTC).isoformat(),
            "total_duration_s": connected_s + 5,
            "connected_duration_s": connected_s,
        }
        assert await self.switch.report(self.service, **report) == 200

    async def token(self, **limits: object) -> str:
        asked = {"name": "page", "scopes": ["read"], **limits}
        async with self.switch.session.post(f"{self.service.url}/v1/tokens", json=asked) as made:
            token: str = (await made.json())["token"]
        await eventually(lambda: self.knows(token))
        return token

    async def knows(self, token: str) -> bool:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.switch.session.get(
            f"{self.service.url}/v1/calls", headers=headers
        ) as found:
            return found.status == 200

    async def get(self, path: str, token: str | None = None, status: int = 200) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token or self.reader}"}
        async with self.switch.session.get(f"{self.service.url}{path}", headers=headers) as found:
            assert found.status == status, await found.text()
            content: dict[str, Any] = await found.json()
            return content


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("callmatrix")
    script = parse_script({"buyers": [{"name": "acme", "ping": {"bid": "52.00"}}]})
    async with AsyncExitStack() as stack:
        buyers = await stack.enter_async_context(SimulatedBuyers(script, free_ports=True))
        path = folder / "marketplace.yaml"
        path.write_text(MARKETPLACE.format(url=buyers.url("acme")))
        service = await stack.enter_async_context(
            a_service(folder / "data", "--marketplace", str(path))
        )
        stage = Stage(service, await stack.enter_async_context(a_switch()))
        stage.reader = await stage.token()
        yield stage


async def test_usage_bars_are_yellow_from_70_and_red_from_90_percent(stage: Stage) -> None:
    levels: list[str] = []
    for number in range(11):
        usage = await stage.get("/v1/offers/cobalt-bars/usage")
        day, month, revenue = usage["caps"]
        assert (day["used"], day["pending"], day["ratio"]) == (number, 0, number / 10)
        assert (month["used"], month["level"]) == (number, "green")
        assert (revenue["pending"], revenue["limit"]) == (f"{18 * number}.00", "1800.00")
        own, buyers = usage["concurrency"]
        assert (own["live"], own["limit"]) == (number, 20)
        assert (buyers["owner"], buyers["live"], buyers["limit"]) == ("buyer", number, 40)
        levels.append(day["level"])
        routed = await stage.route("+18005550100", f"bars-{number}")
        assert routed == ("cobalt-bars" if number < 10 else None)
    assert levels == [*["green"] * 7, *["yellow"] * 2, *["red"] * 2]


async def test_daily_caps_end_at_midnight_in_new_york_and_monthly_on_the_first(
    stage: Stage,
) -> None:
    usage = await stage.get("/v1/offers/cobalt-bars/usage")
    today = datetime.fromisoformat(usage["at"]).astimezone(NEW_YORK).date()
    first = (today.replace(day=1) + timedelta(days=31)).replace(day=1)
    ends = [datetime.fromisoformat(cap["resets_at"]).astimezone(NEW_YORK) for cap in usage["caps"]]
    expected = [today + timedelta(days=1), first, today + timedelta(days=1)]
    assert [(end.date(), end.time()) for end in ends] == [
        (day, datetime.min.time()) for day in expected
    ]


async def test_the_page_shows_destination_prices_totals_average_bid_and_20_calls(
    stage: Stage,
) -> None:
    calls = [f"page-{number:02}" for number in range(22)]
    for call_id in calls:
        assert await stage.route("+18005550101", call_id) == "acme-page"
    await stage.ended(calls[0], 90)
    await stage.ended(calls[1], 89)
    await stage.ended(calls[2], 0)

    async def counted() -> bool:
        page = await stage.get("/v1/offers/acme-page/summary")
        return bool(page["totals"]["calls"] == 22 and page["totals"]["completed"] == 2)

    await eventually(counted)
    page = await stage.get("/v1/offers/acme-page/summary")
    assert page["destination"] == {
        "uri": "sip:sales@acme.example",
        "dial_timeout_s": 20,
        "send_digits": "1w2",
        "whisper": None,
    }
    assert page["pricing"] == {
        "static_price": "12.00",
        "minimum_bid": "35.00",
        "maximum_bid": None,
        "fixed_amount": None,
        "currency": "USD",
    }
    assert page["totals"] == {
        "calls": 22,
        "answered": 2,
        "completed": 2,
        "converted": 1,
        "revenue": "52.00",
    }
    assert (page["average_bid"]["amount"], page["average_bid"]["bids"]) == ("52.00", 22)
    since = datetime.fromisoformat(page["average_bid"]["since"]).astimezone(NEW_YORK)
    assert (since.day, since.time()) == (1, datetime.min.time())
    assert [call["call_id"] for call in page["recent_calls"]] == calls[:1:-1]
    assert {call["caller_id"] for call in page["recent_calls"]} == {"+1310*****34"}


async def test_a_buyer_sees_the_pages_of_its_own_offers(stage: Stage) -> None:
    acme, source = await stage.token(buyer="acme"), await stage.token(source="pub-17")
    for page in ("usage", "summary"):
        assert (await stage.get(f"/v1/offers/acme-page/{page}", acme))["offer"] == "acme-page"
        await stage.get(f"/v1/offers/cobalt-bars/{page}", acme, 404)
        await stage.get(f"/v1/offers/acme-page/{page}", source, 404)
        await stage.get(f"/v1/offers/nobody/{page}", status=404)


async def test_a_switch_sees_no_offers_page(stage: Stage) -> None:
    switch = await stage.token(scopes=["calls"])
    for page in ("usage", "summary"):
        await stage.get(f"/v1/offers/cobalt-bars/{page}", switch, status=403)
