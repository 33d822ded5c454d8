"""Personal data is taken away when its time is over, or its caller asks; money and reports stay."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from auction.domain.call import Caller
from auction.domain.ids import CallId, CampaignId
from auction.domain.terms import Campaign
from auction.domain.terms import Retention as Days
from storage.caller_data import CallerData
from storage.database import Database
from storage.erasing import Erased
from storage.records import CallRecords
from storage.retention import Retention
from storage.suppressions import SuppressedNumbers
from tests.builders import a_call, a_campaign
from tests.call_rows import CALL_VAULT, Row, a_call_row, a_conversion_row, an_attempt_row, put

NOW = datetime.now(UTC)
NUMBER, OTHER = "+13105551234", "+13105559999"
HASH = CALL_VAULT.hash_number
EARNED = Decimal("52.0000")


async def store(
    database: Database,
    name: str,
    *,
    days_ago: float = 0.1,
    number: str = NUMBER,
    campaign: str = "auto-insurance",
    holds: bool = False,
    ended_s_ago: float | None = None,
    **changes: Any,
) -> CallId:
    """A sold call with everything that is kept of one."""
    at = NOW - timedelta(days=days_ago)
    if ended_s_ago is not None:
        changes["ended_at"] = datetime.now(UTC) - timedelta(seconds=ended_s_ago)
    caller = a_call(name, caller=Caller(number), fields={"email": "ann@mail.example"})
    call = a_call_row(
        name,
        at,
        sealed=CALL_VAULT.seal(caller),
        caller_hash=HASH(number),
        campaign=campaign,
        **changes,
    )
    attempt = an_attempt_row(
        name,
        caller_hash=HASH(number),
        campaign=campaign,
        answered_at=at,
        sweep_at=NOW + timedelta(days=1) if holds else None,
    )
    trace = {"call_id": name, "received_at": at, "attempt": 1, "trace": b"{}"}
    plan = {**trace, "candidates": b"[]", "trace": f"spoke to {number}".encode()}
    event: Row = {"call_id": name, "event_id": "e", "fingerprint": b"", "type": "ended", "at": at}
    rows: Sequence[tuple[str, Row]] = (
        ("calls", call),
        ("reservations", attempt),
        ("conversions", a_conversion_row(name)),
        ("conversion_entries", an_entry(name, f"sold to {number}")),
        ("call_claims", a_claim(name, f"sold to {number}")),
        ("traces", {**trace, "trace": f"knows {number}".encode()}),
        ("plans", plan),
        ("events", {**event, "result": "applied"}),
        ("webhook_deliveries", a_delivery(name, f"sold to {number}", "delivered")),
        ("webhook_deliveries", a_delivery(name, f"sold to {number}", "pending")),
    )
    async with database.connection() as connection:
        for table, row in rows:
            await put(connection, table, row)
        await connection.execute("delete from report_deltas")
    return CallId(name)


def an_entry(name: str, note: str) -> Row:
    """What the call earned, with the buyer's words."""
    return {
        "call_id": name,
        "side": "buyer",
        "attempt": 1,
        "kind": "booked",
        "at": NOW,
        "trigger": "postback",
        "amount": EARNED,
        "change": EARNED,
        "actor": "buyer:acme",
        "note": note,
    }


def a_claim(name: str, note: str) -> Row:
    """What a buyer said of the call."""
    return {
        "call_id": name,
        "buyer": "acme",
        "kind": "complaint",
        "event_id": "e",
        "fingerprint": b"",
        "reason": "rude",
        "note": note,
        "offer": "acme-auto",
        "received_at": NOW,
    }


def a_delivery(name: str, reason: str, state: str) -> Row:
    """What a subscriber was told, or is to be told."""
    return {
        "event_id": f"{name} {state}",
        "owner": "campaign:auto",
        "webhook": "crm",
        "event": "call.converted",
        "call_id": name,
        "at": NOW,
        "facts": "{}",
        "state": state,
        "data": f'{{"attempt": 1, "reason": "{reason}"}}',
    }


async def kept(database: Database, *needles: str) -> set[str]:
    """The tables in which any of these texts still stands, in whatever form."""
    found: set[str] = set()
    async with database.connection() as connection:
        tables = await connection.fetch(
            """select relname from pg_class
            where relkind = 'r' and relnamespace = 'public'::regnamespace"""
        )
        for name in (row["relname"] for row in tables):
            rows = await connection.fetch(f'select t::text as row from "{name}" as t')
            text = "\n".join(row["row"] for row in rows)
            if any(form in text for needle in needles for form in (needle, needle.encode().hex())):
                found.add(name)
    return found


def traces_of(number: str) -> tuple[str, ...]:
    """How a caller could be known: the number with and without its country, and the hash."""
    return number, number[2:], HASH(number).hex()


async def test_nothing_tells_of_a_caller_who_was_erased_and_the_money_stays(
    database: Database,
) -> None:
    for name in ("one", "two"):
        await store(database, name)
    await store(database, "other", number=OTHER)
    assert await kept(database, *traces_of(NUMBER)) >= {
        "calls",
        "reservations",
        "webhook_deliveries",
    }
    erased = await CallerData(database).erase(NUMBER, HASH(NUMBER))
    assert (dict(erased.rows), erased.in_use) == (
        {
            "calls": 2,
            "reservations": 2,
            "traces": 2,
            "plans": 2,
            "conversion_entries": 2,
            "call_claims": 2,
            "webhook_deliveries": 2,
            "webhook_deliveries_pending": 2,
        },
        [],
    )
    assert await kept(database, *traces_of(NUMBER)) == set()
    assert await kept(database, *traces_of(OTHER)) >= {"calls", "reservations"}
    async with database.connection() as connection:
        assert await connection.fetchval("select sum(change) from conversion_entries") == 3 * EARNED
        assert await connection.fetchval("select count(*) from webhook_deliveries") == 4
    record = await CallRecords(database, CALL_VAULT).get_call(CallId("one"))
    assert record is not None
    assert (record.call.caller, record.call.fields, record.trace) == (Caller(), {}, None)
    assert (record.revenue, record.buyer) == (EARNED, "acme")
    assert (await CallerData(database).erase(NUMBER, HASH(NUMBER))).rows.total() == 0


async def block(database: Database, *, now: bool) -> None:
    """A campaign that blocked the caller in its first revision, and changes that say so."""
    blocking, other = ({"id": "c", "caller_blocklist": [each, OTHER]} for each in (NUMBER, OTHER))
    items = [
        (1, 1, json.dumps({**blocking, "max_call_s": 60})),
        (2, None, json.dumps(blocking if now else other)),
    ]
    patches = [("pending", "(310) 555-1234"), ("applied", NUMBER), ("cancelled", NUMBER[2:])]
    async with database.connection() as connection:
        for number in (1, 2):
            await put(connection, "catalogue_revisions", {"revision": number, "origin": "api"})
        for first, last, text in items:
            row: Row = {"kind": "campaign", "id": "c", "first_revision": first, "position": 1}
            rest: Row = {"last_revision": last, "document": text}
            await put(connection, "catalogue_items", {**row, **rest})
        for state, written in patches:
            about: Row = {"id": state, "kind": "campaign", "item_id": "c", "actor": "ops"}
            patch = json.dumps({"name": "n", "caller_blocklist": [written, OTHER]})
            when: Row = {"effective_at": NOW, "state": state, "patch": patch}
            await put(connection, "scheduled_changes", {**about, **when})


async def test_an_erased_caller_leaves_what_campaigns_blocked_and_were_to_block(
    database: Database,
) -> None:
    await store(database, "one")
    await block(database, now=False)
    erased = await CallerData(database).erase(NUMBER, HASH(NUMBER))
    assert (erased.rows["catalogue_items"], erased.rows["scheduled_changes"]) == (1, 3)
    assert await kept(database, *traces_of(NUMBER), "555-1234") == set()
    async with database.connection() as connection:
        document = await connection.fetchval(
            "select document from catalogue_items where first_revision = 1"
        )
        patches = await connection.fetch("select patch from scheduled_changes")
        noted = await connection.fetchval("select after from audit_entries")
    assert json.loads(document) == {"id": "c", "caller_blocklist": [OTHER], "max_call_s": 60}
    written = [json.loads(row["patch"]) for row in patches]
    assert written == 3 * [{"name": "n", "caller_blocklist": [OTHER]}]
    assert json.loads(noted)["catalogue_items"] == 1
    assert (await CallerData(database).erase(NUMBER, HASH(NUMBER))).rows.total() == 0


async def test_whom_a_campaign_blocks_now_it_goes_on_blocking(database: Database) -> None:
    await block(database, now=True)
    assert (await CallerData(database).erase(NUMBER, HASH(NUMBER))).rows["catalogue_items"] == 1
    async with database.connection() as connection:
        blocked = "select document::text from catalogue_items where last_revision is null"
        assert NUMBER in await connection.fetchval(blocked)
        patches = await connection.fetch("select id, patch::text from scheduled_changes")
        naming = [row["id"] for row in patches if "555-1234" in row["patch"]]
    assert naming == ["pending"], "applied, it must not let the caller in again"


@pytest.mark.parametrize(
    "in_use",
    [
        {"state": "deciding", "ended_at": None},
        {"state": "answered", "ended_at": None, "holds": True},
        {"ended_s_ago": 10},
    ],
)
async def test_a_call_in_use_is_left_and_named(database: Database, in_use: dict[str, Any]) -> None:
    await store(database, "live", **in_use)
    await store(database, "over")
    erased = await CallerData(database).erase(NUMBER, HASH(NUMBER))
    assert (erased.in_use, erased.rows["calls"]) == (["live"], 1)
    assert await CallerData(database).calls(HASH(NUMBER), None, 10) == ["live"]


@pytest.mark.parametrize(("heard_s_ago", "in_use"), [(120, []), (10, ["ahead"])])
async def test_an_end_by_a_clock_that_is_ahead_counts_from_when_it_was_heard_of(
    database: Database, heard_s_ago: int, in_use: list[str]
) -> None:
    await store(database, "ahead", ended_s_ago=-365 * 86_400)
    async with database.connection() as connection:
        await connection.execute(
            "update events set received_at = now() - $1 * interval '1 second'", heard_s_ago
        )
    erased = await CallerData(database).erase(NUMBER, HASH(NUMBER))
    assert erased.in_use == in_use
    assert erased.rows["calls"] == 1 - len(in_use)


async def test_a_call_that_reports_have_not_counted_yet_is_left(database: Database) -> None:
    await store(database, "fresh")
    async with database.connection() as connection:
        await connection.execute(
            "insert into report_deltas (kind, call_id, attempt) values ('decision', 'fresh', 1)"
        )
    assert (await CallerData(database).erase(NUMBER, HASH(NUMBER))).in_use == ["fresh"]


async def test_a_call_that_somebody_has_locked_is_left_at_once(
    database: Database, dsn: str
) -> None:
    await store(database, "locked")
    other = await asyncpg.connect(dsn)
    try:
        await other.execute("begin")
        await other.execute("select from calls where call_id = 'locked' for update")
        async with asyncio.timeout(2):
            assert (await CallerData(database).erase(NUMBER, HASH(NUMBER))).in_use == ["locked"]
    finally:
        await other.close()


async def test_more_calls_than_a_batch_has_are_all_erased(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.caller_data.AT_ONCE", 2)
    for number in range(5):
        await store(database, f"call-{number}")
    assert (await CallerData(database).erase(NUMBER, HASH(NUMBER))).rows["calls"] == 5


def a_retention(database: Database, *campaigns: Campaign) -> Retention:
    return Retention(database, lambda: campaigns, SuppressedNumbers(database))


def keeping(name: str, pii_days: int | None, calls_days: int | None = None) -> Campaign:
    return replace(a_campaign(), id=CampaignId(name), retention=Days(pii_days, calls_days))


async def work_off(retention: Retention) -> None:
    while await retention.work():
        pass


async def calls_left(database: Database) -> dict[str, bool]:
    """The calls that are kept, and whether their callers are."""
    async with database.connection() as connection:
        rows = await connection.fetch("select call_id, erased_at is null as known from calls")
    return {row["call_id"]: row["known"] for row in rows}


async def test_callers_and_calls_go_when_their_days_are_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.retention.AT_ONCE", 3)
    for days in (0.5, 1.5, 2.5, 9.5, 10.5, 11.5):
        await store(database, f"short {days}", days_ago=days, campaign="short")
        await store(database, f"for ever {days}", days_ago=days, campaign="for ever")
        await store(database, f"gone {days}", days_ago=days, campaign="gone")
    retention = a_retention(database, keeping("short", 1, 10), keeping("gone", 2))
    await work_off(retention)
    short = {f"short {days}": days == 0.5 for days in (0.5, 1.5, 2.5, 9.5)}
    gone = {f"gone {days}": days < 2 for days in (0.5, 1.5, 2.5, 9.5, 10.5, 11.5)}
    async with database.connection() as connection:
        noted = await connection.fetch("select item_id, after from audit_entries")
    calls = [(row["item_id"], json.loads(row["after"])["calls"]) for row in noted]
    assert sorted(calls) == [("calls", 2), ("pii", 3), ("pii", 4)]
    for_ever = {f"for ever {days}": True for days in (0.5, 1.5, 2.5, 9.5, 10.5, 11.5)}
    assert await calls_left(database) == short | gone | for_ever
    async with database.connection() as connection:
        assert (
            await connection.fetchval("select sum(change) from conversion_entries") == 18 * EARNED
        )
        for table in ("reservations", "events", "conversions", "webhook_deliveries"):
            rows = await connection.fetchval(
                f"select count(*) from {table} where call_id like 'short 1_.5'"
            )
            assert rows == 0, table


async def test_a_campaign_that_is_gone_keeps_the_days_that_it_had(database: Database) -> None:
    await store(database, "early", days_ago=3, campaign="gone")
    await work_off(a_retention(database, keeping("gone", 2)))
    async with database.connection() as connection:
        await connection.execute("update retention_progress set done_at = '-infinity'")
    await store(database, "later", days_ago=2.5, campaign="gone")
    await work_off(a_retention(database, keeping("another", None)))
    assert await calls_left(database) == {"early": False, "later": False}


async def test_a_campaign_that_keeps_for_ever_from_now_on_loses_nothing_more(
    database: Database,
) -> None:
    await work_off(a_retention(database, keeping("auto", 2)))
    await store(database, "kept", days_ago=3, campaign="auto")
    async with database.connection() as connection:
        await connection.execute("update retention_progress set done_at = '-infinity'")
    await work_off(a_retention(database, keeping("auto", None)))
    assert await calls_left(database) == {"kept": True}


async def test_shorter_days_take_effect_on_what_is_older(database: Database) -> None:
    await store(database, "call", days_ago=3, campaign="auto")
    await work_off(a_retention(database, keeping("auto", 5)))
    assert await calls_left(database) == {"call": True}
    await work_off(a_retention(database, keeping("auto", 2)))
    assert await calls_left(database) == {"call": False}


async def test_a_call_in_use_when_its_turn_comes_is_tried_again_later(database: Database) -> None:
    await store(database, "holds", days_ago=3, campaign="auto", holds=True)
    retention = a_retention(database, keeping("auto", None, 2))
    await work_off(retention)
    assert await calls_left(database) == {"holds": True}
    async with database.connection() as connection:
        await connection.execute("update reservations set sweep_at = null")
        await work_off(retention)
        assert await calls_left(database) == {"holds": True}, "not before an hour is over"
        await connection.execute("update retention_left set tried_at = now() - interval '2 hours'")
    await work_off(retention)
    assert await calls_left(database) == {}
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from retention_left") == 0


async def test_one_works_at_a_time_and_the_other_does_not_wait(
    database: Database, dsn: str
) -> None:
    await store(database, "call", days_ago=3, campaign="auto")
    other = await asyncpg.connect(dsn)
    try:
        await other.execute("select pg_advisory_lock(7241530008)")
        async with asyncio.timeout(2):
            assert not await a_retention(database, keeping("auto", 2)).work()
        assert await calls_left(database) == {"call": True}
    finally:
        await other.close()


async def test_an_entry_of_the_money_ledger_loses_its_note_and_nothing_else(
    database: Database,
) -> None:
    await store(database, "call")
    async with database.connection() as connection:
        await connection.execute("update conversion_entries set note = null")
        for change in ("amount = 1", "note = 'else'", "note = null, change = 0"):
            with pytest.raises(asyncpg.RaiseError, match="never changed"):
                await connection.execute(f"update conversion_entries set {change}")
        with pytest.raises(asyncpg.RaiseError, match="never changed"):
            await connection.execute("delete from conversion_entries")


def test_counts_of_batches_add_up() -> None:
    total = Erased()
    for _ in range(2):
        one = Erased(in_use=[CallId("c")])
        one.rows["calls"] = 3
        total.add(one)
    assert (dict(total.rows), total.in_use) == ({"calls": 6}, ["c", "c"])
