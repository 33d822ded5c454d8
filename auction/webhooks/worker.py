"""Delivers what the outbox holds; any number of processes and machines may run one."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Protocol

from tenacity import AsyncRetrying, RetryCallState
from tenacity.wait import wait_random_exponential

from auction.domain.call import FieldValue
from auction.domain.ids import CallId
from auction.ports import StorageUnavailableError
from auction.webhooks.bodies import Told
from auction.webhooks.hooks import Hook, HookRequest, Webhooks
from auction.webhooks.lanes import Lanes, Turn
from storage.deliveries import Deliveries, Delivery

logger = logging.getLogger(__name__)

POLL_S: Final = 0.5
"""How long after it was written an event is looked for at the latest."""

BREATH_S: Final = 0.01
"""Between two looks, so that requests which end together are settled together."""

PURGE_EVERY_S: Final = 3600.0

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 3600.0

_backoff = wait_random_exponential(multiplier=FIRST_PAUSE_S, min=FIRST_PAUSE_S, max=LONGEST_PAUSE_S)

Shown = tuple[Mapping[str, object], Mapping[str, FieldValue]]
"""A call's CDR, and those of its fields that may be told."""

ShowCall = Callable[[CallId, Mapping[str, object], str], Awaitable[Shown | None]]
"""A call as an owner (``campaign:<id>``, ``buyer:<id>``) may see it, its changing part as given.

None when nothing is kept of the call. Raises StorageUnavailableError.
"""


class Sender(Protocol):
    """Where requests go."""

    async def send(self, request: HookRequest) -> str | None:
        """None when it was delivered, else why not."""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """What goes out in one request."""

    hook: Hook
    deliveries: Sequence[Delivery]


def pause_after(tries: int) -> float:
    """How long to wait after so many tries, in seconds: longer each time, and never the same."""
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = tries
    return _backoff(state)


class WebhookWorker:
    """Claims, renders, sends and settles. ``hooks`` gives the webhooks in force."""

    def __init__(
        self,
        deliveries: Deliveries,
        hooks: Callable[[], Webhooks],
        show_call: ShowCall,
        sender: Sender,
        *,
        lanes: Lanes | None = None,
        unix_time: Callable[[], float] = time.time,
        pause: Callable[[int], float] = pause_after,
    ) -> None:
        self._deliveries = deliveries
        self._hooks = hooks
        self._show_call = show_call
        self._sender = sender
        self._lanes = lanes or Lanes()
        self._unix_time = unix_time
        self._pause = pause
        self._ended = asyncio.Event()
        # Most connections are for deciding calls.
        self._settling = asyncio.Lock()

    async def run(self, poll_s: float = POLL_S) -> None:
        """Deliver until cancelled; what is out then is sent again when its lease is over."""
        async with asyncio.TaskGroup() as out:
            while True:
                await self._look(out)
                with suppress(TimeoutError):
                    async with asyncio.timeout(poll_s):
                        await self._ended.wait()
                self._ended.clear()
                await asyncio.sleep(BREATH_S)

    async def deliver_due(self) -> None:
        """Deliver once what is due now, as far as there is room for it."""
        async with asyncio.TaskGroup() as out:
            await self._look(out)

    async def keep_purged(self, every_s: float = PURGE_EVERY_S) -> None:
        """Forget what was settled long ago, until cancelled."""
        while True:
            try:
                await self._deliveries.purge()
            except StorageUnavailableError as error:
                logger.warning("No purge: %s", error, extra={"action": "purge_deliveries"})
            await asyncio.sleep(every_s)

    async def _look(self, out: asyncio.TaskGroup) -> None:
        hooks = self._hooks()
        try:
            claimed = await self._deliveries.claim(Turn(self._lanes, hooks))
        except StorageUnavailableError as error:
            logger.warning("No deliveries claimed: %s", error, extra={"action": "claim_webhooks"})
            return
        except Exception:
            # A worker that ended would never tell anyone anything again.
            logger.exception("No deliveries claimed", extra={"action": "claim_webhooks"})
            return
        for parcel in _parcels(claimed, hooks):
            self._lanes.take(parcel.deliveries[0].key)
            out.create_task(self._deliver(parcel))

    async def _deliver(self, parcel: _Parcel) -> None:
        delivered = False
        try:
            delivered = await self._try(parcel)
        except StorageUnavailableError as error:
            # Its lease ends by itself.
            logger.warning("A delivery waits: %s", error, extra={"action": "deliver_webhook"})
        except Exception as error:  # noqa: BLE001 - its text may hold what was to be sent
            _log_crash("A delivery crashed", error)
        finally:
            self._lanes.give_back(parcel.deliveries[0].key, delivered=delivered)
            self._ended.set()

    async def _try(self, parcel: _Parcel) -> bool:
        told: list[Told] = []
        ready: list[Delivery] = []
        for delivery in parcel.deliveries:
            event = await self._told(delivery)
            if isinstance(event, Told):
                told.append(event)
                ready.append(delivery)
            else:
                await self._failed([delivery], event)
        if not ready:
            return True
        error = await self._send(parcel.hook, told)
        if error is not None:
            await self._failed(ready, error)
            return False
        async with self._settling:
            await self._deliveries.delivered(ready)
        return True

    async def _told(self, delivery: Delivery) -> Told | str:
        """The event as its subscriber is told it, or why it can't be."""
        try:
            shown = await self._show_call(delivery.call_id, delivery.facts, delivery.owner)
        except StorageUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - one call must not keep the rest of a batch
            _log_crash("A call can't be shown to a webhook", error)
            return f"the call's record can't be read ({type(error).__name__})"
        if shown is None:
            return "nothing is kept of the call any more"
        cdr, fields = shown
        return Told(delivery.event, delivery.event_id, delivery.at, cdr, fields, delivery.data)

    async def _send(self, hook: Hook, told: Sequence[Told]) -> str | None:
        try:
            request = hook.request(told, int(self._unix_time()))
        except Exception as error:  # noqa: BLE001 - a template that some call breaks
            _log_crash("A webhook's request can't be made", error)
            return f"the request can't be made ({type(error).__name__})"
        return await self._sender.send(request)

    async def _failed(self, deliveries: Sequence[Delivery], error: str) -> None:
        pause_s = self._pause(max(each.tries for each in deliveries))
        async with self._settling:
            dead = await self._deliveries.failed(deliveries, error, pause_s)
        if dead:
            first = deliveries[0]
            logger.warning(
                "Events of a webhook were given up",
                extra={
                    "action": "webhook_dead",
                    "owner": first.owner,
                    "webhook": first.webhook,
                    "error": error,
                    "count": len(dead),
                },
            )


def _log_crash(message: str, error: Exception) -> None:
    extra = {"action": "deliver_webhook", "error": type(error).__name__}
    logger.error(message, extra=extra)


def _parcels(claimed: Sequence[Delivery], hooks: Webhooks) -> Iterator[_Parcel]:
    for key, group in groupby(claimed, lambda delivery: delivery.key):
        hook = hooks.usable[key]
        if hook.every_s is None:
            yield from (_Parcel(hook, [delivery]) for delivery in group)
        else:
            yield _Parcel(hook, list(group))
