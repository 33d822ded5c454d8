"""The hot statements go by their keys, in an empty database as in a full one."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from storage.arrays import array_text
from storage.database import Connection, Database
from storage.queries import query

IDS = [f"call-{number:06}" for number in range(0, 3000, 300)]
TEN = len(IDS)
NOW = datetime.now(UTC)
BYTES, NUMBERS, TIMES, TEXTS = [b"x"] * TEN, [1] * TEN, [NOW] * TEN, ["x"] * TEN
FLAGS, PRICES, JSONS = [False] * TEN, [Decimal(1)] * TEN, ["{}"] * TEN


def texts(*arrays: Sequence[Any]) -> list[str]:
    """Arrays as they are sent to the statements that all calls pass."""
    return [array_text(array) for array in arrays]


HOT: dict[str, Sequence[Any]] = {
    "open_calls": (
        *texts(IDS, NUMBERS, TIMES, NUMBERS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, FLAGS, NUMBERS),
        *(*texts(NUMBERS, TEXTS, TEXTS), BYTES, BYTES, BYTES),
    ),
    "taken_over_plans": (IDS,),
    "collect_late": (IDS,),
    "lock_deciding": (IDS,),
    "lock_reported": (IDS,),
    "lock_due": (200,),
    "past_routes": (BYTES,),
    "past_conversions": (BYTES,),
    "lock_books": (IDS, TEXTS),
    "write_books": (
        *(TEXTS, ["{}"] * TEN),
        *texts(IDS, NUMBERS, TEXTS, NUMBERS, TEXTS, TEXTS, TEXTS, TEXTS, PRICES, TEXTS, JSONS),
        *texts(JSONS, TIMES, TIMES, NUMBERS, TIMES, TIMES, TIMES, TEXTS, TEXTS, FLAGS, TEXTS),
        *(*texts(NUMBERS, PRICES, TIMES), BYTES),
        *(*texts(IDS, TIMES, NUMBERS, NUMBERS), BYTES, BYTES),
        *(*texts(IDS, NUMBERS, TIMES), NUMBERS, BYTES, TEXTS, TEXTS, NOW),
    ),
    "finish_calls": (
        *texts(IDS, NUMBERS, NUMBERS, TEXTS, TEXTS, TEXTS, TEXTS, PRICES, TEXTS, TEXTS, FLAGS),
        *(*texts(NUMBERS, NUMBERS, NUMBERS, NUMBERS), BYTES, BYTES),
    ),
    "known_events": (IDS, TEXTS),
    "write_progress": (
        *(IDS, TEXTS, NUMBERS, TIMES, TIMES, PRICES, PRICES, TEXTS, TEXTS, TEXTS, TEXTS, PRICES),
        *(IDS, TEXTS, BYTES, TEXTS, NUMBERS, TIMES, PRICES, PRICES, TEXTS, NUMBERS, TEXTS),
        *(IDS, ["buyer"] * TEN, NUMBERS, ["booked"] * TEN, TEXTS, PRICES, PRICES, TIMES, TEXTS),
        *(TEXTS, TEXTS, FLAGS, PRICES),
    ),
    "due_calls": (200,),
    "postpone_sweep": (IDS[0],),
    "note_caps_reached": (TEXTS, TEXTS, TEXTS, NUMBERS),
    "find_locked": (IDS, TEXTS, NUMBERS),
    "read_usage": (TEXTS,),
    "holds_by_offer": (),
    "read_call": (IDS[0],),
    "read_entries": (IDS[0],),
    "lock_next": (IDS,),
    "read_steps": (IDS, NUMBERS),
    "rerouting_material": (IDS, NUMBERS, TIMES, BYTES),
    "write_next": (
        *(IDS, TEXTS, NUMBERS, NUMBERS, TIMES),
        *(IDS, NUMBERS, BYTES, TEXTS, NUMBERS),
    ),
    "collect_next": (IDS, NUMBERS),
    "answer_next": (IDS, NUMBERS, BYTES),
    "sold_by_call": (IDS[0], "b"),
    "sold_by_post": (IDS[0], "b"),
    "sold_by_bid": (IDS[0], None),
    "known_postback": (IDS[0], "b", "e"),
    "write_postback": (IDS[0], "b", "e", b"x", "converted", Decimal(1), "booked", True),
    "calls_at_switch": ("s", NOW, 100),
    "name_current": (IDS, NUMBERS),
    "calls_of_caller": (b"x", "", 100),
    "retention_calls": (NOW, "", NOW, 100),
    "lock_erasable": (IDS, True),
    "erase_told": (IDS,),
    "erase_traces": (IDS, TIMES),
}

UNDER_PLAN_BY_KEYS = {
    *("write_progress", "lock_due", "due_calls", "write_next", "collect_next"),
    *("sold_by_call", "sold_by_post", "sold_by_bid", "known_postback", "write_postback"),
    *("lock_erasable", "erase_told", "erase_traces", "retention_calls"),
    "calls_at_switch",
    "name_current",
}

FILL = """
    insert into calls (
        call_id, fingerprint, decide_by, received_at, revision, test, caller_hash, sealed
    )
    select 'call-' || to_char(n, 'FM000000'), '', now(), now(), 1, false, int4send(n % 1000), ''
    from generate_series(1, 3000) as n;

    insert into reservations (
        call_id, attempt, state, position, campaign, offer, buyer, routed_by, price, caller_hash,
        terms, holding, lease_until, sweep_at
    )
    select
        call_id, 1, 'routed', 0, 'c', 'o', 'b', 'auction', 1, caller_hash, '{"owners": []}', '[]',
        now(), case when call_id > 'call-002900' then now() end
    from calls;

    insert into events (call_id, event_id, fingerprint, type, at, result)
    select call_id, 'e', '', 'ended', now(), 'applied' from calls;

    insert into plans (call_id, received_at, attempt, candidates, trace)
    select call_id, received_at, 1, '', '' from calls;

    insert into traces (call_id, received_at, attempt, trace)
    select call_id, received_at, 1, '' from calls;

    insert into conversions (call_id, side, attempt, amount, trigger, at)
    select call_id, 'buyer', 1, 1, 'answered', now() from calls;

    insert into next_steps (call_id, attempt, fingerprint, reason)
    select call_id, 1, '', 'busy' from calls;

    insert into conversion_entries (
        call_id, side, attempt, kind, trigger, amount, change, at, actor
    )
    select call_id, 'buyer', 1, 'booked', 'answered', 1, 1, now(), 'switch' from calls;

    insert into postbacks (call_id, buyer, event_id, fingerprint, status, result)
    select call_id, 'b', 'e', '', 'converted', 'booked' from calls;

    insert into suppression_lists (list, state)
    select 'list-' || n, 'current' from generate_series(1, 3000) as n;

    insert into suppressed_numbers (caller_hash, list)
    select int4send(n), n from generate_series(1, 3000) as n;

    insert into number_leases (number, pool)
    select 'n' || n, 'p' from generate_series(1, 3000) as n;

    insert into usage_counters (owner, counters)
    select 'offer:' || n, array_fill(0::bigint, array[64]) from generate_series(1, 3000) as n;

    analyze;
"""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, all the way down."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def scans_of(connection: Connection, name: str) -> list[str]:
    """The tables that a statement reads from one end to the other."""
    async with connection.transaction():
        if name in UNDER_PLAN_BY_KEYS:
            await connection.execute(query("plan_by_keys"))
        text = await connection.fetchval(f"explain (format json) {query(name)}", *HOT[name])
    return [
        node["Relation Name"]
        for node in nodes(json.loads(text)[0]["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] != "holds"
    ]


@pytest.mark.parametrize("name", HOT)
async def test_a_full_table_is_never_read_whole(database: Database, name: str) -> None:
    async with database.connection() as connection:
        await connection.execute(FILL)
        assert await scans_of(connection, name) == []


BATCHED = sorted(HOT.keys() - {"holds_by_offer"})


@pytest.mark.parametrize("name", BATCHED)
async def test_a_plan_made_for_an_empty_table_will_do_for_a_full_one(
    database: Database, name: str
) -> None:
    async with database.connection() as connection:
        assert await scans_of(connection, name) == []


LOCKING = {
    "open_usage": (TEXTS,),
    **{
        name: HOT[name]
        for name in ("open_calls", "finish_calls", "collect_late", "lock_due", "lock_books")
    },
}


@pytest.mark.parametrize("name", LOCKING)
async def test_rows_are_locked_in_the_order_of_bytes_on_any_database(
    database: Database, name: str
) -> None:
    async with database.transaction() as connection:
        text = await connection.fetchval(
            f"explain (verbose, format json) {query(name)}", *LOCKING[name]
        )
    sorts = [node["Sort Key"] for node in nodes(json.loads(text)[0]["Plan"]) if "Sort Key" in node]
    assert any('COLLATE "C"' in key for keys in sorts for key in keys), sorts


async def test_updates_after_a_lock_are_planned_by_keys(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(FILL)
        assert await connection.fetch(query("lock_reported"), IDS)
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            assert await connection.fetchval(f"show {setting}") == "off"


async def test_updates_stay_on_their_page(database: Database) -> None:
    """No index is written to when a call is decided, answered and ended, or usage is counted.

    The lease of a call stays what it was when the call came in.
    """
    async with database.connection() as connection:
        indexed = await connection.fetch("""
            select c.relname || '.' || a.attname as name
            from pg_index as i
            join pg_class as c on c.oid = i.indrelid
            join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
            where c.relname in ('calls', 'reservations', 'usage_counters')
        """)
    assert {row["name"] for row in indexed} == {
        "calls.call_id",
        "calls.received_at",
        "calls.caller_hash",
        "calls.lease",
        "reservations.call_id",
        "reservations.attempt",
        "reservations.caller_hash",
        "reservations.reserved_at",
        "reservations.sweep_at",
        "reservations.post_id",
        "reservations.bid_id",
        "usage_counters.owner",
    }
