"""A service, buyers, a switch and call centres, all real programs, around which a test calls."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e import sip_marketplace
from tests.e2e.kamailio_switch import NAME, KamailioSwitch, a_kamailio
from tests.e2e.report import Report
from tests.e2e.sip_plans import PRICES
from tests.e2e.sipp import HOST, Sipp, a_call_centre, free_udp_port
from tests.eventually import eventually
from tests.service_process import AUTHORISED, ServiceProcess, a_service, free_port

DESK = "desk"
"""The call centre to which the switch sends calls on its own."""

GATEWAY = "beta-told"
"""The offer whose calls go to a telephone number, and so arrive at the switch's gateway."""

PATIENCE_S = 6
"""Longer than a decision takes on a busy machine: no call falls back but those that shall."""

Cdr = dict[str, Any]


@dataclass(slots=True)
class Surroundings:
    """Everything that runs."""

    folder: Path
    service: ServiceProcess
    switch: KamailioSwitch
    buyers_port: int
    centres: Mapping[str, Sipp]
    session: aiohttp.ClientSession

    async def cdrs(self) -> list[Cdr]:
        """Every call that the service knows, with its caller's number."""
        async with self.session.get(f"{self.service.url}/v1/calls?limit=1000") as response:
            assert response.status == 200, await response.text()
            calls: list[Cdr] = (await response.json())["calls"]
            return calls

    async def usage(self, offer: str) -> dict[str, Any]:
        """What an offer's caps and slots are at."""
        url = f"{self.service.url}/v1/offers/{offer}/usage"
        async with self.session.get(url) as response:
            assert response.status == 200, await response.text()
            used: dict[str, Any] = await response.json()
            return used

    async def pings(self, offer: str) -> int:
        """How many pings have come to this offer's buyer."""
        async with self.session.get(f"http://{HOST}:{self.buyers_port}/_counts") as response:
            counts = (await response.json())["buyers"][offer]
            return int(counts["pings"])

    async def told(self, offer: str, part: str) -> list[dict[str, Any]]:
        """What this offer's buyer was sent in its pings or posts, in order."""
        async with self.session.get(f"http://{HOST}:{self.buyers_port}/_requests") as response:
            requests = (await response.json())[offer]
        return [json.loads(each["body"]) for each in requests if each["path"].endswith(part)]

    async def nothing_is_left_at_the_switch(self, report: Report) -> None:
        """No report waits there, and no call is kept as one that the service may still count."""

        async def left() -> dict[str, int]:
            kept = {"live calls": (await self.switch.ask("htable.dump", "live")).count("name:")}
            for queue in ("reports", "retries"):
                told = await self.switch.ask("mqueue.get_size", queue)
                kept[queue] = int(told.partition("size:")[2].split()[0])
            assert not any(kept.values()), kept
            return kept

        nothing = {"live calls": 0, "reports": 0, "retries": 0}
        seen = await eventually(left, within_s=25.0, every_s=0.2)
        report.equal("left at the switch", nothing, seen)

    async def settled(self, within_s: float, apart_from: Collection[str] = ()) -> list[Cdr]:
        """The calls, as soon as all are over but those of the callers ``apart_from``."""

        async def over() -> list[Cdr]:
            calls = await self.cdrs()
            still = [call for call in calls if not call["ended_at"]]
            still = [call for call in still if call["caller_id"] not in apart_from]
            assert not still, still
            return calls

        return await eventually(over, within_s=within_s, every_s=0.2)


@asynccontextmanager
async def surroundings(
    folder: Path, *, cap: int, patience_s: int = PATIENCE_S, **settings: str
) -> AsyncIterator[Surroundings]:
    """All of it, running; everything is ended at the end whatever happens.

    ``patience_s``: how long the switch waits for an answer of the service; ``settings``: more of
    the switch's own.
    """
    ports = {offer: free_udp_port() for offer in [*PRICES, DESK]}
    buyers_port = free_port()
    offered = sip_marketplace.marketplace(ports, buyers_port, cap)
    market = sip_marketplace.write(folder, "marketplace.yaml", offered)
    script = sip_marketplace.write(folder, "buyers.yaml", sip_marketplace.buyers(buyers_port))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_buyers(script, buyers_port))
        service = await stack.enter_async_context(
            a_service(folder / "data", "--marketplace", str(market))
        )
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=AUTHORISED))
        switch = await stack.enter_async_context(
            a_kamailio(
                folder / "kamailio",
                PINGPOST_URL=service.url,
                PINGPOST_TOKEN=await _token(session, service),
                SWITCH_WAITS_S=str(patience_s),
                SWITCH_ANSWER_MS=str(patience_s * 1000 - 300),
                SWITCH_GATEWAY=f"{HOST}:{ports[GATEWAY]}",
                SWITCH_FALLBACK=f"sip:{DESK}@{HOST}:{ports[DESK]}",
                **settings,
            )
        )
        centres = {
            offer: await stack.enter_async_context(a_call_centre(folder, offer, port))
            for offer, port in ports.items()
        }
        yield Surroundings(folder, service, switch, buyers_port, centres, session)


async def _token(session: aiohttp.ClientSession, service: ServiceProcess) -> str:
    """A token of the switch, as an operator makes one."""
    asked = {"name": NAME, "scopes": ["calls"], "switch": NAME}
    async with session.post(f"{service.url}/v1/tokens", json=asked) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["token"])


@asynccontextmanager
async def _buyers(script: Path, port: int) -> AsyncIterator[None]:
    """The simulated buyers as a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auction", "simulate-buyers", str(script)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: _listens(port), within_s=30.0, every_s=0.05)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(15.0):
            await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
