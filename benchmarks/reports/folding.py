"""What it costs to fold a call's decision into the figures."""

import time
from datetime import UTC, datetime
from typing import Final

import orjson

from benchmarks.reports.filling import PINGS_PER_CALL
from storage.database import Database
from storage.report_folding import ReportFolding

CALLS: Final = 4_000

_CALLS: Final = """
    insert into calls (
        call_id, fingerprint, decide_by, received_at, revision, test, sealed, state, campaign,
        source
    )
    select 'call-' || number, '', now(), $2, 1, false, '', 'routed', 'campaign-1', 'source-1'
    from generate_series(1, $1::integer) as number
"""
_TRACES: Final = """
    insert into traces (call_id, received_at, attempt, trace)
    select call_id, received_at, 1, $1 from calls
"""
_DELTAS: Final = """
    insert into report_deltas (kind, call_id, attempt, received_at, campaign, source, test)
    select 'decision', call_id, 1, received_at, campaign, source, test from calls
"""


async def time_folding(database: Database) -> dict[str, float]:
    """Microseconds per call: wall clock, and CPU of this process (PostgreSQL has its own)."""
    async with database.connection() as connection:
        await connection.execute(_CALLS, CALLS, datetime.now(UTC), timeout=60)
        await connection.execute(_TRACES, _trace(), timeout=60)
        await connection.execute(_DELTAS, timeout=60)
    folding = ReportFolding(database)
    began, cpu = time.perf_counter(), time.process_time()
    folded = 0
    while some := await folding.fold():
        folded += some
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {"wall_us": wall_s / folded * 1e6, "cpu_us": cpu_s / folded * 1e6}


def _trace() -> bytes:
    offers = [
        {
            "offer": f"offer-{number}",
            "outcome": "outbid",
            "code": 305,
            "detail": None,
            "bid": f"{30 + number}.50",
            "ms": 20.123 + number,
            "rank": number + 1,
            "quote": {"amount": f"{30 + number}.50", "bid_id": f"bid-{number}"},
        }
        for number in range(PINGS_PER_CALL)
    ]
    return orjson.dumps({"revision": 1, "offers": offers})
