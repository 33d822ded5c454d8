"""The NextLedger port on PostgreSQL: three group-committed steps per decision."""

from collections.abc import Callable, Mapping
from functools import partial

from auction.domain.finishing import Finish, FinishResult
from auction.domain.ids import CallId, OwnerId
from auction.domain.next_attempt import NextRequest, NextResult
from auction.domain.opening import Opening, OpenResult
from auction.domain.reserving import ReserveRequest, ReserveResult
from auction.domain.usage import Usage
from auction.ports import LedgerStep
from storage.batch import GROUP_COMMIT, Batcher, BatchLimits
from storage.collecting import Collecting
from storage.database import Database
from storage.finishing import Finishing
from storage.opening import OpeningCalls, random_epoch
from storage.outbox import SILENT, Outbox
from storage.progress import EarnedListener, ignore_earned
from storage.rerouting import Refusal, ReroutingCalls
from storage.reserving import Reserving
from storage.vault import CallerVault


def _ignore_usage(_: Mapping[OwnerId, Usage]) -> None:
    return


def _ignore_batch(_: LedgerStep, __: int, ___: float) -> None:
    return


class PostgresLedger:
    """Calls that come to a step while a batch of it is in flight form the next batch.

    ``limits`` are those of each step.
    ``on_usage`` is told the usage that a step has seen, ``known_usage`` gives what is known of it
    (an owner that is absent is not known), ``on_earned`` what a route has earned at
    once, ``observe`` the step of each batch, its size and the seconds it took; the ``outbox`` tells
    subscribers of routes.
    ``new_epoch`` gives calls their first epoch, and the steps from one decider's to the next.
    """

    def __init__(
        self,
        database: Database,
        vault: CallerVault,
        *,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None] = _ignore_usage,
        known_usage: Callable[[], Mapping[OwnerId, Usage]] = dict,
        on_earned: EarnedListener = ignore_earned,
        outbox: Outbox = SILENT,
        new_epoch: Callable[[], int] = random_epoch,
        limits: BatchLimits = GROUP_COMMIT,
        observe: Callable[[LedgerStep, int, float], None] = _ignore_batch,
    ) -> None:
        reserving = Reserving(database, vault, on_usage, known_usage)
        collecting = Collecting(database, on_usage, outbox, on_earned)
        self._opening: Batcher[Opening, OpenResult] = Batcher(
            OpeningCalls(database, vault, collecting, new_epoch).run,
            limits,
            observe=partial(observe, LedgerStep.OPEN),
        )
        self._reserving: Batcher[ReserveRequest, ReserveResult] = Batcher(
            reserving.run, limits, observe=partial(observe, LedgerStep.RESERVE)
        )
        self._finishing: Batcher[Finish, FinishResult] = Batcher(
            Finishing(database, on_usage, outbox, on_earned).run,
            limits,
            observe=partial(observe, LedgerStep.FINISH),
        )
        rerouting = ReroutingCalls(database, vault, on_usage, collecting, new_epoch)
        next_step = partial(observe, LedgerStep.NEXT)
        self._rerouting: Batcher[NextRequest, NextResult] = Batcher(
            rerouting.run, limits, observe=next_step
        )
        self._refusing: Batcher[Refusal, bytes] = Batcher(
            rerouting.refuse, limits, observe=next_step
        )
        self._batchers = (
            self._opening,
            self._reserving,
            self._finishing,
            self._rerouting,
            self._refusing,
        )

    async def open(self, opening: Opening) -> OpenResult:
        """See ``auction.ports.Ledger``."""
        return await self._opening.submit(opening)

    async def reserve(self, request: ReserveRequest) -> ReserveResult:
        """See ``auction.ports.Ledger``. A repeat whose hold was stored gets the same result."""
        return await self._reserving.submit(request)

    async def finish(self, finish: Finish) -> FinishResult:
        """See ``auction.ports.Ledger``. InvariantViolatedError: a route without its hold."""
        return await self._finishing.submit(finish)

    async def open_next(self, request: NextRequest) -> NextResult:
        """See ``auction.ports.NextLedger``."""
        return await self._rerouting.submit(request)

    async def refuse_next(self, call_id: CallId, attempt: int, answer: bytes) -> bytes:
        """See ``auction.ports.NextLedger``."""
        return await self._refusing.submit(Refusal(call_id, attempt, answer))

    @property
    def waiting(self) -> int:
        """How many steps wait for a batch of theirs."""
        return sum(batcher.waiting for batcher in self._batchers)

    async def close(self) -> None:
        """Wait until everything submitted is stored."""
        for batcher in self._batchers:
            await batcher.close()
