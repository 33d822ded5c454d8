"""Calls put into tables as they are stored, without a ledger: for what only reads them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from config.secret_box import SecretBox
from storage.database import Connection, Database
from storage.vault import CallerVault
from tests.builders import a_call

CALL_VAULT = CallerVault(SecretBox(b"c" * 32), b"identity of callers")
NEWEST = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)

Row = Mapping[str, Any]


def a_call_row(call_id: str, received_at: datetime = NEWEST, **changes: Any) -> Row:
    """A call that went to acme by auction and has ended."""
    call = a_call(call_id, received_at=received_at)
    return {
        "call_id": call_id,
        "fingerprint": b"",
        "state": "ended",
        "decide_by": received_at,
        "received_at": received_at,
        "revision": 1,
        "test": False,
        "campaign": "auto-insurance",
        "dialed_number": "+18005550100",
        "source": "pub-17",
        "sealed": CALL_VAULT.seal(call),
        "decided_at": received_at + timedelta(milliseconds=150),
        "routed_by": "auction",
        "offer": "acme-auto",
        "buyer": "acme",
        "price": Decimal("52.0000"),
        "currency": "USD",
        "answered_at": received_at + timedelta(seconds=8),
        "ended_at": received_at + timedelta(seconds=128),
        "total_duration_s": Decimal("128.000"),
        "connected_duration_s": Decimal("119.500"),
        "ended_by": "caller",
        **changes,
    }


def an_attempt_row(call_id: str, attempt: int = 1, **changes: Any) -> Row:
    """A route to acme that has ended."""
    return {
        "call_id": call_id,
        "attempt": attempt,
        "state": "ended",
        "position": 0,
        "campaign": "auto-insurance",
        "offer": "acme-auto",
        "buyer": "acme",
        "routed_by": "auction",
        "price": Decimal("52.0000"),
        "terms": "{}",
        "holding": "[]",
        "lease_until": NEWEST,
        **changes,
    }


def a_conversion_row(call_id: str, side: str = "buyer", **changes: Any) -> Row:
    """A side that converted when the call was answered."""
    return {
        "call_id": call_id,
        "side": side,
        "attempt": 1,
        "amount": Decimal("52.0000") if side == "buyer" else Decimal("20.0000"),
        "trigger": "answered",
        "at": NEWEST,
        "withdrawn": False,
        **changes,
    }


async def put(connection: Connection, table: str, *rows: Row) -> None:
    """Rows into a table; all have the keys of the first."""
    names = list(rows[0])
    records = [tuple(row[name] for name in names) for row in rows]
    await connection.copy_records_to_table(table, records=records, columns=names)


async def fill(
    database: Database, numbers: Iterable[int], newest: datetime = NEWEST, prefix: str = "call"
) -> list[str]:
    """Sold calls, one each second back from ``newest``; their ids, newest first."""
    ids = [(f"{prefix}-{number:07}", number) for number in numbers]
    calls = [a_call_row(each, newest - timedelta(seconds=number)) for each, number in ids]
    async with database.connection() as connection:
        await put(connection, "calls", *calls)
        await put(connection, "reservations", *(an_attempt_row(each) for each, _ in ids))
        await put(connection, "conversions", *(a_conversion_row(each) for each, _ in ids))
    return [each for each, _ in ids]
