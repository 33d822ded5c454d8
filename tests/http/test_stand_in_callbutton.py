"""What Callbutton's sellers rely on, through a real service.

A live number repointed, both durations, minimum-duration billing, records that tie out.
"""

import asyncio
import csv
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.eventually import eventually
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKETPLACE = """
campaigns:
  - {id: auto, name: Auto, numbers: ["+18005550100"]}
buyers:
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {uri: "tel:+18885550142"}
        static_price: "18.00"
        conversions: [{trigger: timer, connected_s: 90}]
"""


@dataclass(slots=True)
class Seller:
    """Who sells calls, and the switch that carries them."""

    folder: Path
    service: ServiceProcess
    switch: Switch
    calls: int = 0

    async def route(self, **changes: object) -> dict[str, Any]:
        """Where one more caller goes."""
        self.calls += 1
        call = {
            "call_id": f"{self.calls}@switch-1",
            "dialed_number": "+18005550100",
            "caller_id": f"+1310555{self.calls:04}",
            **changes,
        }
        return await self.switch.route(self.service, **call)

    async def sold(self, total_s: int, connected_s: int) -> dict[str, Any]:
        """The CDR of a call that lasted so long."""
        call_id = (await self.route())["call_id"]
        ended = {
            "call_id": call_id,
            "event_id": "end",
            "type": "ended",
            "at": datetime.now(UTC).isoformat(),
            "total_duration_s": total_s,
            "connected_duration_s": connected_s,
            "ended_by": "caller",
        }
        assert await self.switch.report(self.service, **ended) == 200
        cdr: dict[str, Any] = (await self.switch.record(self.service, call_id))["cdr"]
        return cdr


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seller]:
    folder = tmp_path_factory.mktemp("callbutton")
    marketplace = folder / "marketplace.yaml"
    marketplace.write_text(MARKETPLACE)
    arguments = ("--marketplace", str(marketplace))
    async with a_service(folder / "data", *arguments) as service, a_switch() as switch:
        yield Seller(folder, service, switch)


async def test_a_live_number_is_repointed_at_once_and_a_call_in_flight_keeps_its_answer(
    seller: Seller,
) -> None:
    before = await seller.route()
    assert before["destination"]["uri"] == "tel:+18885550142"
    repointed = {"destination": {"uri": "sip:night-desk@cobalt.example"}}
    url = f"{seller.service.url}/v1/offers/cobalt-auto"
    async with seller.switch.session.patch(url, json=repointed) as response:
        assert response.status == 200, await response.text()

    async def goes_there() -> bool:
        decision = await seller.route()
        return bool(decision["destination"]["uri"] == "sip:night-desk@cobalt.example")

    await eventually(goes_there, within_s=1.0)
    repeated = await seller.route(call_id=before["call_id"], caller_id="+13105550001")
    assert repeated["destination"] == before["destination"]


async def test_a_cdr_tells_total_duration_and_connected_time_apart(seller: Seller) -> None:
    cdr = await seller.sold(total_s=130, connected_s=112)
    assert Decimal(str(cdr["total_duration_s"])) == 130
    assert Decimal(str(cdr["connected_duration_s"])) == 112


@pytest.mark.parametrize(("connected_s", "revenue"), [(89, "0.00"), (90, "18.00")])
async def test_a_call_is_billed_from_its_minimum_of_connected_time_on(
    seller: Seller, connected_s: int, revenue: str
) -> None:
    cdr = await seller.sold(total_s=600, connected_s=connected_s)
    assert cdr["converted"] is (revenue == "18.00")
    assert cdr["revenue"] == revenue


async def test_our_records_tie_out_against_the_buyers_and_differences_are_told(
    seller: Seller,
) -> None:
    agreed = await seller.sold(total_s=130, connected_s=120)
    rung = await seller.sold(total_s=140, connected_s=100)
    theirs = seller.folder / "cobalt.csv"
    with theirs.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["call_id", "start", "seconds", "amount"])
        rows.writerow([agreed["call_id"], agreed["started_at"], 120, "18.00"])
        rows.writerow([rung["call_id"], rung["started_at"], 140, "18.00"])
    told = seller.folder / "differences.csv"
    tie_out = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auction", "reconcile", "--buyer", "cobalt", str(theirs)),
        *("--data-dir", str(seller.service.data_dir), "--output", str(told)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await tie_out.communicate()
    assert tie_out.returncode == 1, (output, errors)
    rows_told = csv.DictReader(told.read_text().splitlines())
    classes = {row["call_id"]: row["class"] for row in rows_told}
    assert classes[agreed["call_id"]] == "matched"
    assert classes[rung["call_id"]] == "different_duration"
