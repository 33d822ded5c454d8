"""What Retreaver's operators rely on, through a real service.

Numbers with tags and rules, pools that lend numbers to visitors, caps of sources, coverage, test
calls.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
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
    no_route_destination: "tel:+18005550199"
    payouts:
      - {source: "*", trigger: timer, connected_s: 30, amount: "5.00"}
sources:
  - {id: pub-1, name: Brand pages, token: token-of-pub-1}
  - {id: pub-2, name: Small site, number_cap: 2}
numbers:
  - id: brand
    number: "+18005550177"
    campaign: auto
    source: pub-1
    tags: {keyword: brand}
    rules:
      - {action: reject, filters: [{field: caller.state, value: NY}]}
      - {action: reject, offers: [cobalt-auto]}
  - {id: small, number: "+18005550178", campaign: auto, source: pub-2}
pools:
  - id: web
    campaign: auto
    source: pub-1
    numbers: ["+18005550201", "+18005550202"]
    grace_s: 0
    fallback_number: "+18005550299"
  - {id: other, campaign: auto, numbers: ["+18005550301", "+18005550302", "+18005550303"]}
buyers:
  - id: acme
    name: Acme
    external_id: A-1
    offers:
      - id: acme-brand
        campaign: auto
        filters: [{field: keyword, value: brand}]
        destination: {uri: "sip:brand@acme.example", dial_timeout_s: 17, send_digits: "ww1"}
        static_price: "20.00"
        conversions: [{trigger: timer, connected_s: 90}]
        hours: {weekly: {mon-fri: ["08:00-18:00"]}, time_zone: America/Chicago}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {uri: "tel:+18885550142"}
        static_price: "18.00"
        priority: 2
        filters: [{field: caller.state, op: in, value: [CA, NV]}]
"""
ALWAYS = ('        hours: {weekly: {mon-fri: ["08:00-18:00"]}, time_zone: America/Chicago}\n', "")
CALIFORNIAN, NEW_YORKER = "+1310555{:04}", "+1212555{:04}"


@dataclass(slots=True)
class Tracker:
    """Who tracks calls by the numbers that are dialled."""

    service: ServiceProcess
    switch: Switch
    calls: int = 0

    async def call(self, number: str, caller: str = CALIFORNIAN, **more: object) -> dict[str, Any]:
        """One more call comes in."""
        self.calls += 1
        caller_id = caller.format(self.calls)
        call = {"call_id": f"{self.calls}@s", "dialed_number": number, "caller_id": caller_id}
        return await self.switch.route(self.service, **{**call, **more})

    async def send(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of one request."""
        headers = None if token is None else {"Authorization": f"Bearer {token}"}
        url = f"{self.service.url}/v1/{path}"
        async with self.switch.session.request(method, url, json=body, headers=headers) as reply:
            return reply.status, await reply.json() if reply.status != 204 else None

    async def lease(self, pool: str, session: str, **more: object) -> dict[str, Any]:
        """A visitor's number."""
        status, leased = await self.send(
            "POST", f"pools/{pool}/lease", {"session_id": session, **more}
        )
        assert status == 200, leased
        return dict(leased)

    async def hang_up(self, call_id: str, connected_s: int) -> None:
        """The call ends."""
        ended = {
            "call_id": call_id,
            "event_id": "end",
            "type": "ended",
            "at": datetime.now(UTC).isoformat(),
            "total_duration_s": connected_s + 10,
            "connected_duration_s": connected_s,
        }
        assert await self.switch.report(self.service, **ended) == 200

    async def cdr(self, call_id: str) -> dict[str, Any]:
        """What is kept of a call."""
        cdr: dict[str, Any] = (await self.switch.record(self.service, call_id))["cdr"]
        return cdr


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tracker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tracker]:
    folder: Path = tmp_path_factory.mktemp("retreaver")
    marketplace = folder / "marketplace.yaml"
    marketplace.write_text(MARKETPLACE.replace(*ALWAYS))
    arguments = ("--marketplace", str(marketplace))
    async with a_service(folder / "data", *arguments) as service, a_switch() as switch:
        yield Tracker(service, switch)


async def test_retreaver_a_number_gives_campaign_source_and_tags_which_are_criteria(
    tracker: Tracker,
) -> None:
    plain = await tracker.call("+18005550100")
    assert plain["offer"] == "cobalt-auto"
    tagged = await tracker.call("+18005550177")
    assert tagged["offer"] == "acme-brand"
    cdr = await tracker.cdr(tagged["call_id"])
    assert (cdr["campaign"], cdr["source"]) == ("auto", "pub-1")
    named = await tracker.call("+18005550177", source="pub-9", fields={"keyword": "other"})
    assert (await tracker.cdr(named["call_id"]))["source"] == "pub-9"
    assert named["action"] == "no_route", "the switch's own field stands, cobalt is left out"


async def test_retreaver_rules_of_a_number_reject_calls_and_leave_offers_out(
    tracker: Tracker,
) -> None:
    rejected = await tracker.call("+18005550177", NEW_YORKER)
    assert (rejected["action"], rejected["reason"]) == ("no_route", "number_rejected")
    assert rejected["destination"]["uri"] == "tel:+18005550199"
    taken = await tracker.call("+18005550177")
    record = await tracker.switch.record(tracker.service, taken["call_id"])
    codes = {each["offer"]: each["code"] for each in record["trace"]["offers"]}
    assert codes == {"acme-brand": None, "cobalt-auto": 221}


async def test_retreaver_a_replay_of_calls_to_numbers_with_rules_agrees(tracker: Tracker) -> None:
    await tracker.lease("web", "replayed", tags={"keyword": "brand"})
    number = (await tracker.lease("web", "replayed", tags={"keyword": "brand"}))["number"]
    for decided in [
        await tracker.call(number),
        await tracker.call("+18005550177", NEW_YORKER),
    ]:
        replay = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "auction", "replay", decided["call_id"]),
            *("--data-dir", str(tracker.service.data_dir)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await replay.communicate()
        assert replay.returncode == 0, (output, errors)
        assert b"The same ranking" in output
    await tracker.send("DELETE", "pools/web/leases/replayed")
    await tracker.hang_up(f"{tracker.calls - 1}@s", 1)


async def test_retreaver_a_visitors_tags_join_the_call_on_the_number_lent_to_it(
    tracker: Tracker,
) -> None:
    ann = await tracker.lease("web", "ann", tags={"keyword": "brand"})
    bob = await tracker.lease("web", "bob", tags={"keyword": "cheap"})
    assert ann["number"] != bob["number"]
    assert (await tracker.lease("web", "ann", tags={"keyword": "brand"}))["number"] == ann["number"]
    by_ann, by_bob = await tracker.call(ann["number"]), await tracker.call(bob["number"])
    assert (by_ann["offer"], by_bob["offer"]) == ("acme-brand", "cobalt-auto")
    assert (await tracker.cdr(by_ann["call_id"]))["source"] == "pub-1"

    again = await tracker.send("POST", "pools/web/leases/ann/heartbeat")
    assert again[1]["number"] == ann["number"]
    none_left = await tracker.lease("web", "eve")
    assert (none_left["number"], none_left["fallback"]) == ("+18005550299", True)
    assert none_left["reason"] == "pool_exhausted"

    await tracker.hang_up(by_ann["call_id"], 5)
    recycled = await tracker.lease("web", "eve")
    assert (recycled["number"], recycled["fallback"]) == (ann["number"], False)
    assert (await tracker.send("POST", "pools/web/leases/ann/heartbeat"))[0] == 404
    assert (await tracker.send("DELETE", "pools/web/leases/bob"))[0] == 204
    assert (await tracker.call("+18005550299"))["offer"] == "cobalt-auto"


async def test_retreaver_a_source_has_no_more_numbers_than_its_cap_static_ones_included(
    tracker: Tracker,
) -> None:
    first = await tracker.lease("other", "kim", source="pub-2")
    second = await tracker.lease("other", "lee", source="pub-2")
    assert (first["fallback"], second["reason"]) == (False, "source_cap")
    path = "numbers"
    for digits, expected in [("79", 201), ("76", 422)]:
        body = {"number": f"+180055501{digits}", "campaign": "auto", "source": "pub-2"}
        status, answer = await tracker.send("POST", path, body)
        assert status == expected, answer
    assert answer["errors"][0]["message"].startswith("would break source pub-2")


async def test_retreaver_a_source_lends_the_numbers_of_its_own_pools_only(
    tracker: Tracker,
) -> None:
    body = {"session_id": "zoe"}
    own, foreign = "pools/web/lease", "pools/other/lease"
    assert (await tracker.send("POST", own, body, "token-of-pub-1"))[0] == 200
    assert (await tracker.send("POST", foreign, body, "token-of-pub-1"))[0] == 403
    named = await tracker.send("POST", own, {**body, "source": "pub-2"}, "token-of-pub-1")
    assert named[0] == 422
    assert (await tracker.send("POST", own, body, "nobody"))[0] == 401
    assert (await tracker.send("POST", "pools/none/lease", body))[0] == 404
    assert (await tracker.send("POST", own, {"session": "zoe"}))[0] == 422


async def test_retreaver_dial_timeout_digits_and_the_split_between_buyer_and_source(
    tracker: Tracker,
) -> None:
    taken = await tracker.call("+18005550177")
    destination = taken["destination"]
    assert (destination["dial_timeout_s"], destination["send_digits"]) == (17, "ww1")
    await tracker.hang_up(taken["call_id"], 60)
    cdr = await tracker.cdr(taken["call_id"])
    assert (cdr["revenue"], cdr["payout"]) == ("0.00", "5.00")


async def test_retreaver_a_test_call_is_routed_and_bills_nothing(tracker: Tracker) -> None:
    taken = await tracker.call("+18005550177", test=True)
    await tracker.hang_up(taken["call_id"], 600)
    cdr = await tracker.cdr(taken["call_id"])
    assert (taken["offer"], cdr["test"], cdr["revenue"]) == ("acme-brand", True, "0.00")


async def test_retreaver_coverage_shows_states_and_hours_of_a_campaign(tracker: Tracker) -> None:
    hours = {"hours": {"weekly": {"mon-fri": ["08:00-18:00"]}, "time_zone": "America/Chicago"}}
    assert (await tracker.send("PATCH", "offers/acme-brand", hours))[0] == 200

    async def covered() -> dict[str, Any]:
        status, shown = await tracker.send("GET", "campaigns/auto/coverage?week=2026-11-25")
        assert status == 200
        assert shown["states"]["TX"]["sun"] == []
        return dict(shown)

    shown = await eventually(covered, within_s=2.0)
    assert (shown["time_zone"], shown["week"]) == ("America/New_York", "2026-11-23")
    assert shown["states"]["TX"]["mon"] == [{"from": 9, "to": 19, "offers": ["acme-brand"]}]
    assert shown["states"]["CA"]["mon"] == [
        {"from": 0, "to": 9, "offers": ["cobalt-auto"]},
        {"from": 9, "to": 19, "offers": ["acme-brand", "cobalt-auto"]},
        {"from": 19, "to": 24, "offers": ["cobalt-auto"]},
    ]
    _, compact = await tracker.send("GET", "campaigns/auto/coverage?format=compact&state=TX")
    by_offer = {each["offer"]: each for each in compact["offers"]}
    assert by_offer["acme-brand"]["hours"]["tue"] == "0" * 9 + "1" * 10 + "0" * 5
    assert by_offer["cobalt-auto"]["states"] == []
    for query, status in [
        ("week=soon", 422),
        ("state=XX", 422),
        ("state=ca", 422),
        ("format=wide", 422),
        ("a=b", 422),
    ]:
        assert (await tracker.send("GET", f"campaigns/auto/coverage?{query}"))[0] == status
    assert (await tracker.send("GET", "campaigns/none/coverage"))[0] == 404
    assert (await tracker.send("GET", "campaigns/auto/coverage", None, "token-of-pub-1"))[0] == 403
