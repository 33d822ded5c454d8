"""A change of hundreds of offers is announced, made ready, and in force everywhere at once."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio

from storage.announcing import PACE
from tests.eventually import eventually
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

OFFERS = PACE.at_once + 20
WITHIN_S = 1.0


def a_file(folder: Path, price: int) -> Path:
    """The offer of the lowest id wins: all cost the same and all change their price."""
    line = (
        "      - {{id: o-{n:03}, campaign: auto, static_price: {price}, "
        'destination: {{uri: "tel:+18885550142"}}}}'
    )
    offers = "\n".join(line.format(n=n, price=price) for n in range(OFFERS))
    path = folder / f"market-{price}.yaml"
    path.write_text(
        'campaigns: [{id: auto, numbers: ["+18005550100"]}]\n'
        f"buyers:\n  - id: cobalt\n    offers:\n{offers}\n"
    )
    return path


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """Two workers and the process that watches over them."""
    marketplace = ("--marketplace", str(a_file(tmp_path, 18)))
    async with a_service(tmp_path / "data", *marketplace, "--workers", "2") as running:
        yield running


async def prices(service: ServiceProcess, name: str) -> set[str]:
    """What calls over connections of their own are sold for, so that either worker decides some."""

    async def asked(number: int) -> str:
        async with a_switch() as switch:
            decision = await switch.route(service, call_id=f"{name}-{number}", campaign="auto")
        return str(decision["price"])

    return set(await asyncio.gather(*map(asked, range(12))))


async def test_when_apply_ends_all_of_a_large_change_is_in_force_within_a_second(
    service: ServiceProcess, tmp_path: Path
) -> None:
    arguments = ("apply", str(a_file(tmp_path, 25)), "--data-dir", str(service.data_dir))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auction", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    announcement = ""
    while "is stored, and in force in" not in announcement:
        announcement = (await process.stdout.readline()).decode()
        assert announcement, "it ended without a word of the time"
    at = datetime.fromisoformat(announcement.split()[-1])
    meanwhile = await prices(service, "meanwhile")
    if datetime.now(UTC) < at:
        assert meanwhile == {"18.00"}, "none before its time"
    last = await process.stdout.read()
    assert (await process.wait(), b"now in force" in last) == (0, True)
    # A time is what is promised.
    await asyncio.sleep(WITHIN_S)
    assert await prices(service, "after") == {"25.00"}
    assert "should have been in force" not in service.log


async def test_a_patch_that_makes_all_offers_anew_tells_when_it_is_in_force(
    service: ServiceProcess,
) -> None:
    async with a_switch() as switch:
        small = await patched(switch, service, "offers/o-000", {"weight": 3})
        assert small is None, "nobody waits for one offer"
        at = await patched(switch, service, "buyers/cobalt", {"time_zone": "Europe/Madrid"})
        assert at is not None
        assert at > datetime.now(UTC)
        paused = await patched(switch, service, "buyers/cobalt", {"enabled": False})
        assert paused is not None
        assert paused >= at, "what is built upon it is not in force before it"

    async def in_force() -> bool:
        return await prices(service, f"{datetime.now(UTC)}") == {"None"}

    await eventually(in_force, within_s=20)
    assert datetime.now(UTC) >= at


async def patched(
    switch: Switch, service: ServiceProcess, path: str, patch: dict[str, object]
) -> datetime | None:
    async with switch.session.patch(f"{service.url}/v1/{path}", json=patch) as response:
        assert response.status == 200
        told = response.headers.get("X-Pingpost-In-Force-At")
    return None if told is None else datetime.fromisoformat(told)
