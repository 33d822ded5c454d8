"""Tells bidders that ask for it whether they won or lost: after the answer, never delaying it."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt, wait_fixed

from auction.domain.ids import OfferId
from auction.domain.notices import Notice
from buyers.notice_requests import NoticeRequests, compile_requests
from buyers.transport import (
    Answer,
    FaultKind,
    Origin,
    PreparedRequest,
    Transport,
)
from config.marketplace import Marketplace

_log = logging.getLogger(__name__)

TRIES = 2
TOLD_OFFERS = 19
"""How many offers whose notices were lost are named in one log line."""


@dataclass(frozen=True, slots=True)
class NoticeLimits:
    """Bounds in seconds and counts.

    ``waiting`` notices at most wait in all and ``per_origin`` for one address, to which
    ``connections`` requests go at once. ``hold_s``: how long a notice stays behind the answer.
    """

    try_s: float = 5.0
    again_after_s: float = 1.0
    hold_s: float = 0.1
    report_s: float = 60.0
    waiting: int = 10_000
    per_origin: int = 2_000
    connections: int = 8


@dataclass(slots=True)
class _Lane:
    """Notices to one address: a buyer that hangs holds up nobody else's."""

    waiting: deque[tuple[float, PreparedRequest, OfferId]] = field(default_factory=deque)
    senders: set[asyncio.Task[None]] = field(default_factory=set)


class NoticeBoard:
    """Sends notices in the background. Must be made inside a running event loop.

    What finds no room, or is not taken after two tries, is counted and told in the log once a
    minute; a notice is never worth a call.
    """

    def __init__(self, transport: Transport, limits: NoticeLimits | None = None) -> None:
        self._transport = transport
        self._limits = limits or NoticeLimits()
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[Origin, _Lane] = {}
        self._waiting = 0
        self._lost: Counter[OfferId] = Counter()
        self._report: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many notices have not been begun yet."""
        return self._waiting

    def put(self, offer: OfferId, request: PreparedRequest) -> None:
        """Send one notice soon. Never raises and never waits."""
        lane = self._lanes.get(request.origin)
        if self._closed or self._is_full(lane):
            self._lose(offer)
            return
        if lane is None:
            lane = self._lanes[request.origin] = _Lane()
        lane.waiting.append((self._loop.time() + self._limits.hold_s, request, offer))
        self._waiting += 1
        if len(lane.senders) < self._limits.connections:
            self._begin(request.origin, lane)

    async def close(self) -> None:
        """Give up what waits and what is under way."""
        self._closed = True
        senders = [sender for lane in self._lanes.values() for sender in lane.senders]
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        for lane in self._lanes.values():
            self._lost.update(offer for _, _, offer in lane.waiting)
        self._lanes.clear()
        self._waiting = 0
        if self._report is not None:
            self._report.cancel()
        self._tell_lost()

    def _is_full(self, lane: _Lane | None) -> bool:
        if self._waiting >= self._limits.waiting:
            return True
        return lane is not None and len(lane.waiting) >= self._limits.per_origin

    def _begin(self, origin: Origin, lane: _Lane) -> None:
        sender = self._loop.create_task(self._empty(lane))
        lane.senders.add(sender)
        sender.add_done_callback(partial(self._ended, origin, lane))

    def _ended(self, origin: Origin, lane: _Lane, sender: asyncio.Task[None]) -> None:
        lane.senders.discard(sender)
        if lane.waiting and not self._closed:
            # It came after the sender had found nothing more and before it was missed.
            self._begin(origin, lane)
        elif not lane.senders:
            self._lanes.pop(origin, None)

    async def _empty(self, lane: _Lane) -> None:
        while lane.waiting:
            due, request, offer = lane.waiting.popleft()
            self._waiting -= 1
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if not await self._sent(request, offer):
                self._lose(offer)

    async def _sent(self, request: PreparedRequest, offer: OfferId) -> bool:
        retrying = AsyncRetrying(
            sleep=asyncio.sleep,
            retry=retry_if_result(_worth_another),
            wait=wait_fixed(self._limits.again_after_s),
            stop=stop_after_attempt(TRIES),
            retry_error_callback=_last,
        )
        try:
            answer: Answer | None = await retrying(self._try, request)
        except Exception as error:  # noqa: BLE001 - one notice's bug never stops the others
            # Its text may hold a part of the request.
            name = type(error).__name__
            _log.error("A notice crashed", extra={"offer": offer, "error": name})
            return False
        status = None if answer is None else answer.status
        return status is not None and status < 400

    async def _try(self, request: PreparedRequest) -> Answer | None:
        """The answer, None when it did not come in time."""
        try:
            async with asyncio.timeout(self._limits.try_s):
                return await self._transport.request(request, _as_it_is)
        except TimeoutError:
            return None

    def _lose(self, offer: OfferId) -> None:
        self._lost[offer] += 1
        if self._report is None and not self._closed:
            self._report = self._loop.call_later(self._limits.report_s, self._tell_lost)

    def _tell_lost(self) -> None:
        self._report = None
        if not self._lost:
            return
        named = ", ".join(
            f"{offer} {count}" for offer, count in self._lost.most_common(TOLD_OFFERS)
        )
        _log.warning(
            "%d notices of wins and losses did not arrive: %s",
            self._lost.total(),
            named if len(self._lost) <= TOLD_OFFERS else f"{named} and others",
            extra={"action": "notices_lost"},
        )
        self._lost.clear()


def compile_notices(marketplace: Marketplace, board: NoticeBoard) -> "OfferNotices":
    """The notices of one revision of the marketplace, sent through ``board``."""
    requests = {
        OfferId(offer.id): compile_requests(offer.ping_post.notices)
        for buyer in marketplace.buyers
        for offer in buyer.offers
        if offer.ping_post is not None and offer.ping_post.notices is not None
    }
    return OfferNotices(requests, board)


class OfferNotices:
    """Which offers want notices, and telling them; made by ``compile_notices``."""

    def __init__(self, requests: Mapping[OfferId, NoticeRequests], board: NoticeBoard) -> None:
        self._requests = requests
        self._board = board

    @property
    def wanted_by(self) -> Collection[OfferId]:
        """The offers that ask for notices; of no other one need be made."""
        return self._requests.keys()

    def tell(self, notices: Iterable[Notice]) -> None:
        """Send what was asked for, soon. Never raises and never waits."""
        for notice in notices:
            requests = self._requests.get(notice.offer)
            request = None if requests is None else requests.prepare(notice)
            if request is not None:
                self._board.put(notice.offer, request)


_MAY_PASS = frozenset({FaultKind.UNREACHABLE, FaultKind.OWN_LIMIT, FaultKind.BROKEN})


def _as_it_is(answer: Answer) -> Answer:
    return answer


def _worth_another(answer: Answer | None) -> bool:
    if answer is None:
        return False
    if answer.status is not None:
        return answer.status >= 500
    return answer.kind in _MAY_PASS


def _last(state: RetryCallState) -> Answer | None:
    outcome = state.outcome
    assert outcome is not None
    result: Answer | None = outcome.result()
    return result
