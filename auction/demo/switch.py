"""The demo's call switch: asks for routes, reports answers and ends, reads records, all by HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_fixed

from auction.demo.service import ServiceHandle
from auction.demo.traffic import TIMEOUT_MS, DemoCall, Leg

ANSWER_WITHIN_S = 10.0
READERS = 8
ASKS_AGAIN_AFTER_S = 0.5

Progress = Callable[[], None]
"""Called once per call that is over."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What the service answered for one call; ``decision`` None: no decision came.

    ``further`` are the decisions after attempts that failed.
    """

    call: DemoCall
    decision: dict[str, Any] | None
    fault: str | None = None
    further: tuple[dict[str, Any], ...] = ()


class DemoSwitch:
    """One HTTP client with the service's token; an async context manager."""

    def __init__(self, service: ServiceHandle) -> None:
        """Nothing is opened before the context is entered."""
        self._service = service

    async def __aenter__(self) -> "DemoSwitch":
        """Open the client."""
        self._client = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._service.token}"},
            timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S),
            connector=aiohttp.TCPConnector(limit=0),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self._client.close()

    async def play(self, calls: Iterable[DemoCall], progress: Progress) -> list[Handled]:
        """Every call at its time, from the request for a route to the end event."""
        start = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(call, start, progress)) for call in calls]
        return [task.result() for task in tasks]

    async def records(self, call_ids: Iterable[str]) -> list[dict[str, Any]]:
        """CDR and trace of each call, in order. Raises aiohttp.ClientError when one is missing."""
        limit = asyncio.Semaphore(READERS)

        async def read(call_id: str) -> dict[str, Any]:
            async with limit:
                return await self._get(f"/v1/calls/{quote(call_id, safe='')}")

        return await asyncio.gather(*map(read, call_ids))

    async def metrics(self) -> str:
        """The text of ``/metrics``."""
        async with self._client.get(f"{self._service.ops_url}/metrics") as response:
            response.raise_for_status()
            return await response.text()

    async def _one(self, call: DemoCall, start: float, progress: Progress) -> Handled:
        await asyncio.sleep(start + call.starts_at_s - asyncio.get_running_loop().time())
        try:
            decision = await self._post("/v1/calls", call.request)
            further = [each async for each in self._dial(call, decision)]
        except (aiohttp.ClientError, TimeoutError) as error:
            return Handled(call, None, f"{type(error).__name__}: {error}")
        finally:
            progress()
        return Handled(call, decision, further=tuple(further))

    async def _dial(
        self, call: DemoCall, decision: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Every attempt until one is not said to fail; the decisions that follow the first."""
        while decision["action"] == "route":
            attempt = decision["attempt"]
            leg = call.leg(attempt)
            await self._talk(call, leg, attempt)
            if leg.fails is None:
                return
            failed = {"call_id": call.call_id, "attempt": attempt, "reason": leg.fails}
            decision = await self._post("/v1/calls/next", failed | {"timeout_ms": TIMEOUT_MS})
            yield decision

    async def _talk(self, call: DemoCall, leg: Leg, attempt: int) -> None:
        await asyncio.sleep(leg.ring_s)
        if leg.answered:
            await self._report(call, attempt, "answered")
            await asyncio.sleep(leg.holds_s)
        durations = {
            "connected_duration_s": leg.connected_s,
            "total_duration_s": round(leg.ring_s + leg.connected_s, 3),
        }
        if leg.fails is None or leg.answered:
            ended_by = "target" if leg.fails else call.ended_by
            await self._report(call, attempt, "ended", ended_by=ended_by, **durations)

    async def report_conversion(self, report: Mapping[str, str]) -> dict[str, Any]:
        """A buyer's postback, as its own system would send it."""
        return await self._post("/v1/postbacks/conversion", report)

    async def export(self) -> str:
        """The records of all calls as CSV."""
        url = f"{self._service.base_url}/v1/calls"
        async with self._client.get(url, headers={"Accept": "text/csv"}) as response:
            response.raise_for_status()
            return await response.text()

    async def _report(self, call: DemoCall, attempt: int, kind: str, **more: object) -> None:
        event = {
            "call_id": call.call_id,
            "event_id": f"{call.call_id}/{attempt}/{kind}",
            "type": kind,
            "attempt": attempt,
            "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        await self._post("/v1/calls/events", event | more)

    async def _post(self, path: str, content: object) -> dict[str, Any]:
        """Asked again while the service is too busy to answer: a repeat is the same request."""
        again = AsyncRetrying(
            retry=retry_if_exception(_is_unavailable),
            wait=wait_fixed(ASKS_AGAIN_AFTER_S),
            stop=stop_after_delay(ANSWER_WITHIN_S),
            reraise=True,
        )
        return await again(self._post_once, path, content)

    async def _post_once(self, path: str, content: object) -> dict[str, Any]:
        async with self._client.post(f"{self._service.base_url}{path}", json=content) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._client.get(f"{self._service.base_url}{path}") as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer


def _is_unavailable(error: BaseException) -> bool:
    return (
        isinstance(error, aiohttp.ClientResponseError)
        and error.status == HTTPStatus.SERVICE_UNAVAILABLE
    )
