"""PostgreSQL reads back what array parameters in text form were made from."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from storage.arrays import array_text
from storage.database import Database

ODD = [
    *("", " padded ", "null", "NULL", '"', "\\", '\\"', "a,b", "{}", "'", "é€😀", None),
    *("line\nbreak", "tab\t", "\r", "\x01\x1f\x7f", "\\n", "\\u0041", '{"a": "b\\n"}'),
]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", ODD),
        ("text", ["plain", None, "é"]),
        ("bigint", [0, -1, 2**63 - 1, None]),
        ("boolean", [True, False, None]),
        ("numeric", [Decimal("42.5000"), Decimal("-0.01"), Decimal("1E+3"), None]),
        ("timestamptz", [datetime(2026, 3, 29, 1, 59, 59, 999_999, UTC), None]),
        ("text", []),
    ],
)
async def test_an_array_comes_back_as_it_was(
    database: Database, kind: str, values: Sequence[object]
) -> None:
    async with database.connection() as connection:
        read = await connection.fetchval(f"select $1::text::{kind}[]", array_text(values))
    assert read == values
