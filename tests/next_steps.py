"""Requests for another route through the ledger, for tests."""

from typing import Any

from auction.domain.call import Call
from auction.domain.finishing import Finished
from auction.domain.next_attempt import FailReason, NextRequest, Rerouting
from auction.domain.plan import Candidate
from auction.domain.reserving import Reserved
from auction.ports import NextLedger
from tests.ledger_steps import a_candidate, a_finish, a_request, an_opening


def a_failure(call: Call, attempt: int = 1, **changes: Any) -> NextRequest:
    """A switch's report that an attempt found its target busy, with ten seconds for deciding."""
    values: dict[str, Any] = {
        "reason": FailReason.BUSY,
        "fingerprint": f"{call.call_id} {attempt} failed".encode(),
        "decide_within_ms": 10_000,
        "sip_code": 486,
        **changes,
    }
    return NextRequest(call.call_id, attempt, **values)


async def reroute(ledger: NextLedger, call: Call, attempt: int = 1, **changes: Any) -> Rerouting:
    """The claim after a failure that nobody has told before."""
    opened = await ledger.open_next(a_failure(call, attempt, **changes))
    assert isinstance(opened, Rerouting)
    return opened


async def route_first(ledger: NextLedger, call: Call, *candidates: Candidate) -> bytes:
    """The first decision, for the first of the candidates; its answer."""
    plan = candidates or (a_candidate(),)
    await ledger.open(an_opening(call))
    assert await ledger.reserve(a_request(call, *plan, trace=b"planned")) == Reserved(0)
    finish = a_finish(call, plan[0], trace=b"first trace")
    assert await ledger.finish(finish) == Finished()
    return finish.answer


async def route_next(
    ledger: NextLedger, again: Rerouting, candidate: Candidate, **changes: Any
) -> bytes:
    """A decision after a failure; its answer."""
    ours = {"epoch": again.epoch, "attempt": again.attempt}
    request = a_request(again.call, candidate, trace=b"planned again", **ours)
    assert await ledger.reserve(request) == Reserved(0)
    values: dict[str, Any] = {
        **ours,
        "answer": f"attempt {again.attempt}".encode(),
        "trace": f"trace {again.attempt}".encode(),
        **changes,
    }
    finish = a_finish(again.call, candidate, **values)
    assert await ledger.finish(finish) == Finished()
    return finish.answer
