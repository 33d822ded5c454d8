"""What eligibility sees of the caps: fresh enough, without asking for every call."""

import asyncio

import pytest
import pytest_asyncio

from auction.domain.ids import OwnerId
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.usage_view import FRESH_S, PostgresUsageView
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


async def test_without_a_database_a_stale_reading_is_not_used(
    database: Database, view: PostgresUsageView
) -> None:
    await database.close()
    with pytest.raises(StorageUnavailableError):
        await view.refresh(OWNERS)
