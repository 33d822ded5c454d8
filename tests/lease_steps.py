"""Steps of leases for tests: a pool, visitors, time that passes."""

from typing import Any

from auction.domain.ids import PoolId, SourceId
from auction.domain.leases import LeaseRequest
from auction.domain.numbers import PoolTerms
from storage.database import Database
from tests.builders import CAMPAIGN

PASS_TIME = """
    update number_leases set
        expires_at = expires_at - $1::integer * interval '1 second',
        kept_until = kept_until - $1::integer * interval '1 second',
        last_used_at = last_used_at - $1::integer * interval '1 second'
"""
PASS_TIME_OF_CALLS = """
    update calls set
        received_at = received_at - $1::integer * interval '1 second',
        decided_at = decided_at - $1::integer * interval '1 second',
        ended_at = ended_at - $1::integer * interval '1 second'
    where lease is not null
"""
END_CALL = "update calls set state = 'ended', ended_at = now() where call_id = $1"


def a_pool(*numbers: str, **changes: Any) -> PoolTerms:
    """Numbers that are lent for a minute, and kept for ten seconds after that."""
    values: dict[str, Any] = {"lease_s": 60, "heartbeat_s": 30, "grace_s": 10, **changes}
    return PoolTerms(id=PoolId("web"), campaign=CAMPAIGN, numbers=numbers, **values)


def a_visitor(session: str, *, source: str | None = None, **tags: str) -> LeaseRequest:
    """Somebody who looks at a page."""
    return LeaseRequest(session, None if source is None else SourceId(source), tags)


async def pass_time(database: Database, seconds: int) -> None:
    """Let leases, and calls on them, grow older."""
    async with database.connection() as connection:
        await connection.execute(PASS_TIME, seconds)
        await connection.execute(PASS_TIME_OF_CALLS, seconds)


async def end_call(database: Database, call_id: str) -> None:
    """The switch reports the end of a call."""
    async with database.connection() as connection:
        await connection.execute(END_CALL, call_id)
