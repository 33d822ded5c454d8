"""Calls that keep coming while something is done to the services."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.eventually import eventually
from tests.service_process import AUTHORISED

CALLERS = 6
PAUSE_S = 0.02
RETRIES = 10
ANSWERED_WITHIN_S = 10.0


@dataclass(slots=True)
class Traffic:
    """Calls that keep coming. A 503 is asked again, as a switch would after ``Retry-After``."""

    url: str
    name: str = "switch"
    statuses: Counter[int] = field(default_factory=Counter)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: int = 0
    over: bool = False

    async def run(self) -> None:
        """Ask until it is over."""
        limit = aiohttp.ClientTimeout(total=ANSWERED_WITHIN_S)
        async with aiohttp.ClientSession(headers=AUTHORISED, timeout=limit) as session:
            await asyncio.gather(*(self._caller(session, caller) for caller in range(CALLERS)))

    async def more(self, count: int = 60) -> None:
        """Wait for so many calls to be answered from now on."""
        wanted = self.statuses[200] + count
        await eventually(lambda: self.statuses[200] >= wanted, within_s=60, every_s=0.05)

    @property
    def refused(self) -> int:
        """Answers other than 200."""
        return self.statuses.total() - self.statuses[200]

    @property
    def unanswered(self) -> int:
        """Calls that never got a decision."""
        return sum("action" not in answer for answer in self.answers.values())

    async def _caller(self, session: aiohttp.ClientSession, caller: int) -> None:
        number = 0
        while not self.over:
            number += 1
            call_id = f"{caller}-{number}@{self.name}"
            for _ in range(RETRIES):
                if await self._ask(session, call_id) == 200:
                    break
                await asyncio.sleep(1)
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, session: aiohttp.ClientSession, call_id: str) -> int:
        call = {"call_id": call_id, "campaign": "auto", "timeout_ms": 1500}
        try:
            async with session.post(f"{self.url}/v1/calls", json=call) as response:
                self.statuses[response.status] += 1
                self.answers[call_id] = await response.json()
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            self.broken += 1
            return 0


@asynccontextmanager
async def traffic_at(url: str, name: str = "switch") -> AsyncIterator[Traffic]:
    """Calls of campaign ``auto``, of a switch called so; at the end all of them are answered."""
    traffic = Traffic(url, name)
    running = asyncio.create_task(traffic.run())
    try:
        yield traffic
    finally:
        traffic.over = True
        await running
