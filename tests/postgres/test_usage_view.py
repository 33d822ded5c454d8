"""What eligibility sees of the caps: fresh enough, without asking for every call."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.ids import OwnerId
from auction.domain.usage import Usage
from storage import usage_view
from storage.database import Database
from storage.usage_rows import decode
from storage.usage_view import FRESH_S, SLICE, PostgresUsageView
from tests.eventually import eventually
from tests.ledger_steps import (
    BUYER_OWNER,
    OFFER_OWNER,
    a_ledger,
    a_recent_call,
    all_usage,
    route,
    usage_of,
)

OWNERS = (OFFER_OWNER, BUYER_OWNER)


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest_asyncio.fixture
async def view(database: Database, clock: Seconds) -> PostgresUsageView:
    return PostgresUsageView(database, clock)


async def test_an_owner_that_was_never_seen_is_fetched(
    database: Database, view: PostgresUsageView
) -> None:
    await route(a_ledger(database), a_recent_call())
    assert dict(view.read()) == {}
    await view.refresh(OWNERS)
    assert dict(view.read()) == await all_usage(database)


async def test_a_fresh_reading_is_used_as_it_is(
    database: Database, view: PostgresUsageView, clock: Seconds
) -> None:
    ledger = a_ledger(database)
    await route(ledger, a_recent_call("one"))
    await view.refresh(OWNERS)
    await route(ledger, a_recent_call("two"))
    clock.now += FRESH_S / 2
    await view.refresh(OWNERS)
    assert view.read()[OFFER_OWNER].live == 1
    clock.now += FRESH_S
    await view.refresh(OWNERS)
    assert view.read()[OFFER_OWNER].live == 2


async def test_owners_without_usage_are_remembered_as_such(
    view: PostgresUsageView, database: Database
) -> None:
    await view.refresh([OwnerId("offer:new")])
    await database.close()
    await view.refresh([OwnerId("offer:new")])
    assert OwnerId("offer:new") not in view.read()


async def test_what_the_ledger_has_seen_is_known_at_once(
    database: Database, view: PostgresUsageView
) -> None:
    ledger = a_ledger(database, on_usage=view.note)
    await route(ledger, a_recent_call())
    assert dict(view.read()) == await all_usage(database)
    await database.close()
    await view.refresh(OWNERS)


async def test_those_who_ask_at_once_share_a_reading(
    database: Database, view: PostgresUsageView
) -> None:
    await route(a_ledger(database), a_recent_call())
    await asyncio.gather(*(view.refresh(OWNERS) for _ in range(50)))
    assert view.read()[OFFER_OWNER] == await usage_of(database)


async def test_owners_that_are_asked_for_are_kept_fresh(database: Database) -> None:
    view = PostgresUsageView(database, asyncio.get_running_loop().time)
    ledger = a_ledger(database)
    await route(ledger, a_recent_call("one"))
    running = asyncio.create_task(view.run())
    await view.refresh(OWNERS)
    await route(ledger, a_recent_call("two"))
    await eventually(lambda: view.read()[OFFER_OWNER].live == 2, within_s=1.0)
    running.cancel()
    await asyncio.wait([running])


async def test_without_a_database_the_last_reading_stands(
    database: Database, view: PostgresUsageView, clock: Seconds
) -> None:
    await route(a_ledger(database), a_recent_call())
    await view.refresh(OWNERS)
    known = dict(view.read())
    assert known
    await database.close()
    clock.now += 60
    await view.refresh([*OWNERS, OwnerId("offer:never-seen")])
    assert dict(view.read()) == known


async def test_what_was_read_before_is_seen_again_after_the_ledger_told_otherwise(
    database: Database, view: PostgresUsageView, clock: Seconds
) -> None:
    await route(a_ledger(database), a_recent_call())
    await view.refresh(OWNERS)
    stored = dict(view.read())
    clock.now += 1
    view.note({OFFER_OWNER: replace(stored[OFFER_OWNER], live=7)})
    clock.now += 1
    await view.refresh(OWNERS)
    assert dict(view.read()) == stored


async def test_only_what_has_changed_is_decoded_again(
    database: Database, clock: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def counting(counters: Sequence[int]) -> Usage:
        decoded.append(counters[0])
        return decode(counters)

    monkeypatch.setattr(usage_view, "decode", counting)
    view, ledger = PostgresUsageView(database, clock), a_ledger(database)
    await route(ledger, a_recent_call("one"))
    for _ in range(3):
        clock.now += 1
        await view.refresh(OWNERS)
    assert decoded == [1, 1]
    await route(ledger, a_recent_call("two"))
    clock.now += 1
    await view.refresh(OWNERS)
    assert decoded == [1, 1, 2, 2]


async def test_a_great_many_owners_are_read_in_slices(
    database: Database, view: PostgresUsageView, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    lend = database.connection

    def counted() -> Any:
        read.append(len(read))
        return lend()

    monkeypatch.setattr(database, "connection", counted)
    await route(a_ledger(database), a_recent_call())
    read.clear()
    many = [OwnerId(f"offer:{number}") for number in range(2 * SLICE)]
    await view.refresh([*many, *OWNERS])
    assert len(read) == 3
    assert dict(view.read()) == await all_usage(database)


async def test_owners_that_nobody_asks_for_any_more_are_forgotten(
    database: Database, view: PostgresUsageView, clock: Seconds
) -> None:
    await route(a_ledger(database), a_recent_call())
    await view.refresh(OWNERS)
    running = asyncio.create_task(view.run())
    try:
        clock.now += usage_view.ASKED_LATELY_S + 1
        await eventually(lambda: not view.read())
        await view.refresh(OWNERS)
        assert dict(view.read()) == await all_usage(database)
    finally:
        running.cancel()
