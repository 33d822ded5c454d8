"""The ledger's steps, each in a span."""

from auction.domain.finishing import Finish, FinishResult
from auction.domain.ids import CallId
from auction.domain.next_attempt import NextRequest, NextResult, Rerouting
from auction.domain.opening import Opened, Opening, OpenResult
from auction.domain.reserving import ReserveRequest, ReserveResult
from auction.ports import NextLedger
from auction.tracing.spans import Spans, describe_request


class TracedLedger:
    """A ``NextLedger`` that tells how long each step took, waiting for its batch included."""

    def __init__(self, ledger: NextLedger, spans: Spans) -> None:
        self._ledger = ledger
        self._spans = spans

    async def open(self, opening: Opening) -> OpenResult:
        """See ``Ledger.open``."""
        describe_request(call_id=opening.call.call_id, campaign=opening.campaign or "")
        with self._spans.around("open"):
            result = await self._ledger.open(opening)
        if isinstance(result, Opened):
            self._spans.opened()
        return result

    async def open_next(self, request: NextRequest) -> NextResult:
        """See ``NextLedger.open_next``."""
        describe_request(call_id=request.call_id, failed_attempt=request.attempt)
        with self._spans.around("open"):
            result = await self._ledger.open_next(request)
        if isinstance(result, Rerouting):
            self._spans.opened()
        return result

    async def reserve(self, request: ReserveRequest) -> ReserveResult:
        """See ``Ledger.reserve``."""
        self._spans.eligibility_over()
        with self._spans.around("reserve", candidates=len(request.candidates)):
            return await self._ledger.reserve(request)

    async def finish(self, finish: Finish) -> FinishResult:
        """See ``Ledger.finish``."""
        self._spans.eligibility_over()
        describe_request(action=finish.action.value, attempt=finish.attempt)
        if finish.candidate is not None:
            routed_by = finish.candidate.routed_by.value
            describe_request(offer=finish.candidate.offer, routed_by=routed_by)
        with self._spans.around("finish"):
            return await self._ledger.finish(finish)

    async def refuse_next(self, call_id: CallId, attempt: int, answer: bytes) -> bytes:
        """See ``NextLedger.refuse_next``."""
        with self._spans.around("finish"):
            return await self._ledger.refuse_next(call_id, attempt, answer)
