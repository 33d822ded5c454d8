"""LeadConduit's rules over real HTTP: mapping, validation, consent, segments, quality, ranking."""

import asyncio
import csv
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.eventually import eventually
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBER = "+18005550100"
BUYERS = {
    "buyers": [
        {"name": "acme", "ping": {"bid": "50.00"}, "record": 200},
        {"name": "beacon", "ping": {"bid": "40.00"}, "record": 200},
    ]
}
GOOD = {
    "zip_code": "90210-1234",
    "birthdate": "1980-02-09",
    "state": "ca",
    "homeowner": "yes",
    "phone_2": "(310) 555-9876",
    "email": "Jo@Example.com",
}


def a_market(buyers: SimulatedBuyers) -> dict[str, Any]:
    """Two bidders and a static offer; acme asks for much, beacon for nothing."""

    def ping_post(name: str, **changes: object) -> dict[str, object]:
        ends = {end: {"url": f"{buyers.url(name)}/{end}", "timeout_ms": 900} for end in ENDS}
        return {"minimum_bid": "30.00", **ends, **changes}

    acme = {
        "id": "acme-auto",
        "campaign": "auto",
        "destination": {"uri": "sip:desk@acme.example"},
        "filters": [{"field": "quality", "op": "gte", "value": 60}],
        "validations": [
            {"field": "zip_code", "type": "zip"},
            {"field": "birthdate", "type": "date", "maximum": "2008-12-31"},
            {"field": "email", "type": "email", "pattern": ".{5,80}"},
        ],
        "consents": [{"field": "consent_at", "max_age_h": 24}],
        "returns": {"within_days": 7, "reasons": ["wrong_number"], "payout": "withdraw"},
        "ping_post": ping_post(
            "acme",
            mapping={
                "Zip": "{{ fields.zip_code | truncate: 5 }}",
                "DOB": '{{ fields.birthdate | date: "%m/%d/%Y" }}',
                "Age": "{{ fields.birthdate | age_from_birthdate }}",
                "State": "{{ fields.state | upper }}",
                "Owner": '{{ fields.homeowner | bool: "Y","N" }}',
                "Phone2": "{{ fields.phone_2 | digits }}",
                "Email": "{{ fields.email | lower }}",
                "Gender": "{{ fields.gender | map: {M: Male} | default: unknown }}",
            },
        ),
    }
    beacon = {
        "id": "beacon-auto",
        "campaign": "auto",
        "destination": {"uri": "sip:desk@beacon.example"},
        "ping_post": ping_post("beacon"),
    }
    quality = {
        "base": 50,
        "rules": [
            {"when": [{"field": "homeowner", "op": "eq", "value": "yes"}], "points": 15},
            {"when": [{"field": "risk", "op": "eq", "value": "high"}], "points": -20},
        ],
    }
    senior = {"when": [{"field": "senior", "op": "eq", "value": "yes"}], "tags": ["seniors"]}
    campaign = {
        "id": "auto",
        "numbers": [NUMBER],
        "private_fields": ["email"],
        "quality": quality,
        "segments": [senior],
        "payouts": [{"source": "*", "trigger": "answered", "amount": "9.00"}],
        "auction": {},
    }
    return {
        "sources": [{"id": "pub-17"}, {"id": "pub-18"}],
        "campaigns": [campaign],
        "buyers": [
            {"id": "acme", "offers": [acme]},
            {"id": "beacon", "tags": ["seniors", "partner"], "offers": [beacon]},
        ],
    }


ENDS = ("ping", "post")


@dataclass(slots=True)
class Scene:
    """A service, its buyers, a switch and the file that was applied last."""

    folder: Path
    buyers: SimulatedBuyers
    service: ServiceProcess
    switch: Switch
    calls: int = 0

    async def route(self, source: str = "pub-17", **fields: object) -> dict[str, Any]:
        """The decision on one more call."""
        self.calls += 1
        given_at = datetime.now(UTC) - timedelta(hours=1)
        return await self.switch.route(
            self.service,
            call_id=f"call-{self.calls}",
            dialed_number=NUMBER,
            caller_id="+13105551234",
            source=source,
            fields={**GOOD, "consent_at": given_at.isoformat(), **fields},
            timeout_ms=1900,
        )

    async def told(self, call_id: str) -> dict[str, tuple[str, int | None, str | None]]:
        """What the trace says of each offer."""
        trace = (await self.switch.record(self.service, call_id))["trace"]
        return {
            each["offer"]: (each["outcome"], each["code"], each["detail"])
            for each in trace["offers"]
        }

    async def token_of(self, buyer: str) -> str:
        """A token with which a buyer reports what it thinks of its calls."""
        asked = {"name": buyer, "scopes": ["postback"], "buyer": buyer}
        url = f"{self.service.url}/v1/tokens"
        async with self.switch.session.post(url, json=asked) as response:
            assert response.status == 201, await response.text()
            token = str((await response.json())["token"])
        await eventually(lambda: self.knows(token))
        return token

    async def knows(self, token: str) -> bool:
        """Whether the service has heard of a token."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self.switch.session.get(
            f"{self.service.url}/v1/calls", headers=headers
        ) as response:
            return response.status != 401

    async def report(self, call_id: str, kind: str) -> None:
        """The switch reports that something happened to a call now."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"call_id": call_id, "event_id": kind, "type": kind, "at": at}
        assert await self.switch.report(self.service, **event) == 200

    async def apply(self, market: dict[str, Any]) -> None:
        """Make this the marketplace, and wait until it decides calls."""
        path = self.folder / "changed.json"
        path.write_bytes(orjson.dumps(market))
        code, output = await self.pingpost("apply", str(path))
        assert code == 0, output

    async def pingpost(self, *arguments: str) -> tuple[int, str]:
        """A command against the same database."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "auction", *arguments),
            *("--data-dir", str(self.service.data_dir)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("leadconduit")
    async with AsyncExitStack() as stack:
        buyers = await stack.enter_async_context(SimulatedBuyers(parse_script(BUYERS)))
        path = folder / "marketplace.json"
        path.write_bytes(orjson.dumps(a_market(buyers)))
        service = await stack.enter_async_context(
            a_service(folder / "data", "--marketplace", str(path))
        )
        switch = await stack.enter_async_context(a_switch())
        yield Scene(folder, buyers, service, switch)


def bodies(scene: Scene, buyer: str) -> list[dict[str, Any]]:
    return [orjson.loads(request.body) for request in scene.buyers.buyer(buyer).requests]


async def test_a_buyer_gets_its_own_fields_in_its_own_form(scene: Scene) -> None:
    decision = await scene.route()
    assert (decision["offer"], decision["price"]) == ("acme-auto", "50.00")

    ping, post = bodies(scene, "acme")[-2:]
    mapped = {
        "Zip": "90210",
        "DOB": "02/09/1980",
        "Age": ping["fields"]["Age"],
        "State": "CA",
        "Owner": "Y",
        "Phone2": "3105559876",
        "Email": None,
        "Gender": "unknown",
    }
    assert ping["fields"] == mapped
    assert ping["fields"]["Age"] >= 46
    assert post["fields"] == {**mapped, "Email": "jo@example.com"}
    [plain] = bodies(scene, "beacon")[-1:]
    assert plain["fields"]["zip_code"] == "90210-1234"
    assert "email" not in plain["fields"]


async def test_a_call_with_invalid_fields_or_stale_consent_is_not_delivered(scene: Scene) -> None:
    old = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    pings = scene.buyers.counts()["acme"]["pings"]
    for fields, told in (
        ({"zip_code": "9021"}, ("invalid_field", 217, "zip_code")),
        ({"birthdate": "2020-01-01"}, ("invalid_field", 217, "birthdate")),
        ({"email": "nobody"}, ("invalid_field", 217, "email")),
        ({"consent_at": None}, ("consent_missing", 218, "consent_at")),
        ({"consent_at": old}, ("consent_expired", 219, "consent_at")),
    ):
        decision = await scene.route(**fields)
        assert decision["offer"] == "beacon-auto", fields
        assert (await scene.told(decision["call_id"]))["acme-auto"] == told
    assert scene.buyers.counts()["acme"]["pings"] == pings


async def test_calls_of_a_segment_go_only_to_its_buyers(scene: Scene) -> None:
    decision = await scene.route(senior="yes")
    assert decision["offer"] == "beacon-auto"
    told = await scene.told(decision["call_id"])
    assert told["acme-auto"] == ("outside_segment", 220, "seniors")


async def test_an_offer_takes_only_calls_of_enough_quality(scene: Scene) -> None:
    decision = await scene.route(risk="high")
    assert decision["offer"] == "beacon-auto"
    record = await scene.switch.record(scene.service, decision["call_id"])
    assert record["trace"]["quality"] == {"score": 45, "source_points": 0}
    assert record["cdr"]["quality"] == 45
    url = f"{scene.service.url}/v1/calls?format=csv"
    async with scene.switch.session.get(url) as response:
        rows = csv.DictReader(StringIO(await response.text()))
        scores = {row["call_id"]: row["quality"] for row in rows}
    assert scores[decision["call_id"]] == "45"
    told = await scene.told(decision["call_id"])
    assert told["acme-auto"] == ("filtered", 205, "quality")


async def send(
    scene: Scene, path: str, body: dict[str, Any] | None = None, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    """A request's status and answer: a POST where it has a body."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    method, url = "GET" if body is None else "POST", f"{scene.service.url}{path}"
    async with scene.switch.session.request(method, url, json=body, headers=headers) as response:
        return response.status, await response.json()


async def test_a_buyer_returns_a_call_within_its_window_and_is_credited_once(scene: Scene) -> None:
    call_id = (await scene.route())["call_id"]
    for kind in ("answered", "ended"):
        await scene.report(call_id, kind)
    token, other = [await scene.token_of(buyer) for buyer in ("acme", "beacon")]
    returns, complaints = f"/v1/calls/{call_id}/returns", f"/v1/calls/{call_id}/complaints"

    status, problem = await send(scene, returns, {"reason": "changed my mind"}, token)
    assert (status, [each["path"] for each in problem["errors"]]) == (422, ["reason"])
    given = {"reason": "wrong_number", "note": "a fax"}
    assert (await send(scene, returns, given, other))[0] == 404
    assert (await send(scene, returns, token=other))[0] == 404
    for result in ("withdrawn", "repeated"):
        status, told = await send(scene, returns, given, token)
        assert (status, told["result"], told["amount"]) == (200, result, "0.00")
    status, problem = await send(scene, returns, {"reason": "wrong_number"}, token)
    assert status == 409
    status, told = await send(scene, complaints, {"reason": "wrong_number"}, token)
    assert (status, told["result"]) == (200, "booked")

    record = await scene.switch.record(scene.service, call_id)
    assert (record["cdr"]["revenue"], record["cdr"]["payout"]) == ("0.00", "0.00")
    booked = [(each["side"], each["kind"], each["note"]) for each in record["conversions"]]
    assert booked[-2:] == [
        ("buyer", "withdrawn", "returned: wrong_number"),
        ("source", "withdrawn", "returned: wrong_number"),
    ]
    status, listed = await send(scene, returns, token=token)
    [kept] = listed["returns"]
    assert (kept["credited"], kept["withheld"], kept["note"]) == ("50.00", "9.00", "a fax")

    async def rates() -> bool:
        period = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
        found = []
        for by, name in (("offer", "acme-auto"), ("source", "pub-17")):
            _, answer = await send(scene, f"/v1/returns?{period}&by={by}")
            found += [each for each in answer["rows"] if each["name"] == name]
        return [(each["returned"], each["return_rate"]) for each in found] == [(1, 1.0)] * 2

    await eventually(rates, within_s=10)
    for kind, own, other, money in (
        ("buyer", "acme", "beacon", ("50.00", None)),
        ("source", "pub-17", "pub-18", (None, "9.00")),
    ):
        row = {each["name"]: each for each in await rates_told(scene, kind, own)}["acme-auto"]
        assert row["returned"] == 1
        assert (row["credited"], row["withheld"]) == money
        assert not any(each["returned"] for each in await rates_told(scene, kind, other))


async def rates_told(scene: Scene, kind: str, name: str) -> list[dict[str, Any]]:
    """What a token that is bound to a buyer or a source is told of returns."""
    body: dict[str, Any] = {"name": name, "scopes": ["read"], kind: name}
    status, made = await send(scene, "/v1/tokens", body)
    assert status == 201, made

    async def told() -> list[list[dict[str, Any]]]:
        period = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
        status, answer = await send(scene, f"/v1/returns?{period}", token=made["token"])
        return [answer["rows"]] if status == 200 else []

    rows: list[dict[str, Any]] = (await eventually(told, within_s=5))[0]
    return rows


async def test_a_call_without_terms_for_it_is_not_returned(scene: Scene) -> None:
    call_id = (await scene.route(senior="yes"))["call_id"]
    status, problem = await send(scene, f"/v1/calls/{call_id}/returns", {"reason": "x"})
    assert (status, problem["type"].rpartition(":")[2]) == (409, "claim-not-allowed")
    status, _ = await send(scene, "/v1/calls/nobody/returns", {"reason": "x"})
    assert status == 404


async def test_bids_of_a_segment_are_boosted_and_the_price_stays_the_bid(scene: Scene) -> None:
    market = a_market(scene.buyers)
    market["campaigns"][0]["auction"] = {
        "boosts": [{"tag": "partner", "source": "pub-18", "factor": "1.26"}]
    }
    await scene.apply(market)

    async def boosted() -> bool:
        decision = await scene.route(source="pub-18")
        return (decision["offer"], decision["price"]) == ("beacon-auto", "40.00")

    await eventually(boosted)
    assert (await scene.route())["offer"] == "acme-auto"
    code, output = await scene.pingpost("replay", f"call-{scene.calls - 1}")
    assert code == 0, output


async def test_expected_revenue_ranks_by_what_became_of_calls_and_is_replayed(
    scene: Scene,
) -> None:
    scene.buyers.change("acme", post={"behaviours": {"reject": 1}})
    for _ in range(30):
        decision = await scene.route()
        assert decision["offer"] == "beacon-auto"
        await scene.report(decision["call_id"], "answered")
    market = a_market(scene.buyers)
    market["campaigns"][0]["auction"] = {"rank": "expected_revenue"}
    await scene.apply(market)

    async def ranked_by_odds() -> bool:
        decision = await scene.route()
        record = await scene.switch.record(scene.service, decision["call_id"])
        lines = {each["offer"]: each for each in record["trace"]["offers"]}
        return lines["beacon-auto"]["rank"] == 1 and "odds" in lines["acme-auto"]

    await eventually(ranked_by_odds, within_s=40, every_s=0.1)
    call_id = f"call-{scene.calls}"
    record = await scene.switch.record(scene.service, call_id)
    lines = {each["offer"]: each for each in record["trace"]["offers"]}
    acme, beacon = lines["acme-auto"], lines["beacon-auto"]
    assert float(acme["odds"]["accepted"]) < float(beacon["odds"]["accepted"])
    assert (acme["bid"], acme["rank"], beacon["bid"]) == ("50.00", 2, "40.00")
    code, output = await scene.pingpost("replay", call_id)
    assert code == 0, output
    assert "The same ranking, the same winner and price" in output
