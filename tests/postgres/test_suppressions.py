"""Lists of numbers on a real server: what calls see of them, and when."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from auction.domain.call import Caller
from auction.domain.ids import SuppressionId
from auction.domain.next_attempt import Rerouting
from auction.domain.opening import Opened
from auction.ports import ListReplacedError
from auction.web.number_import import How, NothingReadableError, NumberImport, Tally
from auction.web.number_lines import LineForm, NumberReader
from storage.database import Database
from storage.ledger import PostgresLedger
from storage.suppressions import SuppressedNumbers
from tests.ledger_steps import VAULT, a_ledger, a_recent_call, an_opening
from tests.next_steps import a_failure, route_first

DNC = SuppressionId("dnc")
LISTED, FREE = "+13105550001", "+13105550002"
HASH = VAULT.hash_number


async def seen(ledger: PostgresLedger, name: str, number: str | None) -> tuple[str, ...]:
    """The lists that a call's decider is told of."""
    result = await ledger.open(an_opening(a_recent_call(name, caller=Caller(number))))
    assert isinstance(result, Opened)
    return result.suppressed


async def test_a_call_sees_a_number_from_the_moment_it_was_stored(database: Database) -> None:
    lists, ledger = SuppressedNumbers(database), a_ledger(database)
    assert await seen(ledger, "before", LISTED) == ()
    key = await lists.current(DNC)
    assert await lists.add(key, [HASH(LISTED), HASH(LISTED)]) == 1
    assert await lists.add(await lists.current(DNC), [HASH(LISTED)]) == 0
    assert await seen(ledger, "after", LISTED) == (DNC,)
    assert await seen(ledger, "another", FREE) == ()
    assert await seen(ledger, "withheld", None) == ()
    assert await lists.remove(key, [HASH(LISTED), HASH(FREE)]) == 1
    assert await seen(ledger, "removed", LISTED) == ()
    await ledger.close()


async def test_what_follows_a_failed_attempt_sees_what_came_meanwhile(database: Database) -> None:
    lists, ledger = SuppressedNumbers(database), a_ledger(database)
    call = a_recent_call("c", caller=Caller(LISTED))
    await route_first(ledger, call)
    await lists.add(await lists.current(DNC), [HASH(LISTED)])
    again = await ledger.open_next(a_failure(call))
    assert isinstance(again, Rerouting)
    assert again.suppressed == (DNC,)
    await ledger.close()


async def test_a_list_is_the_old_one_until_the_new_one_is_whole(database: Database) -> None:
    lists = SuppressedNumbers(database)
    old = await lists.current(DNC)
    await lists.add(old, [HASH(LISTED)])
    async with lists.replacing(DNC) as key:
        await lists.add(key, [HASH(FREE)])
        assert await lists.lists_of(HASH(LISTED)) == [DNC]
        assert await lists.lists_of(HASH(FREE)) == []
    assert await lists.lists_of(HASH(LISTED)) == []
    assert await lists.lists_of(HASH(FREE)) == [DNC]
    with pytest.raises(ListReplacedError):
        await lists.add(old, [HASH(LISTED)])
    assert await lists.lists_of(HASH(LISTED)) == []
    assert await lists.count(DNC) == 1


async def test_a_replacement_that_fails_changes_nothing(database: Database) -> None:
    lists = SuppressedNumbers(database)
    await lists.add(await lists.current(DNC), [HASH(LISTED)])

    async def fail() -> None:
        async with lists.replacing(DNC) as key:
            await lists.add(key, [HASH(FREE)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await lists.lists_of(HASH(LISTED)) == [DNC]
    assert await lists.lists_of(HASH(FREE)) == []


async def test_several_replacements_at_once_leave_one_of_them_whole(database: Database) -> None:
    lists = SuppressedNumbers(database)
    contents = [[HASH(f"+1310555{one}{two:03}") for two in range(20)] for one in range(6)]

    async def put(content: list[bytes]) -> None:
        async with lists.replacing(DNC) as key:
            await lists.add(key, content)

    await asyncio.gather(*map(put, contents))
    listed = [[bool(await lists.lists_of(each)) for each in content] for content in contents]
    assert sorted(map(set, listed), key=str) == [{False}] * 5 + [{True}]


async def test_what_was_replaced_or_cut_off_is_swept_away(database: Database) -> None:
    lists = SuppressedNumbers(database)
    for number in (LISTED, FREE):
        async with lists.replacing(DNC) as key:
            await lists.add(key, [HASH(number)])
    async with database.connection() as connection:
        await connection.execute(
            "insert into suppression_lists (list, state, changed_at) values "
            "('cut off', 'loading', now() - interval '25 hours'), ('coming', 'loading', now())"
        )
    while await lists.sweep():
        pass
    async with database.connection() as connection:
        states = await connection.fetch("select list, state from suppression_lists order by 1")
        assert await connection.fetchval("select count(*) from suppressed_numbers") == 1
    assert [tuple(row) for row in states] == [("coming", "loading"), ("dnc", "current")]


async def import_of(database: Database, how: How, *pieces: bytes) -> Tally:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    reader = NumberReader(LineForm.TEXT, "US")
    lists = SuppressedNumbers(database)
    return await NumberImport(lists, DNC, reader, HASH).run(how, body())


async def test_an_import_tells_what_became_of_its_lines(database: Database) -> None:
    body = b"".join(b"+1310555%04d\n" % number for number in range(5000))
    first = await import_of(database, How.ADD, body[:7777], body[7777:], b"nobody\n\n3105550001")
    assert (first.lines, first.valid, first.changed, first.unchanged) == (5003, 5001, 5000, 1)
    assert (first.invalid, first.faults) == (1, [(5001, "is no phone number")])
    again = await import_of(database, How.ADD, body)
    assert (again.changed, again.unchanged) == (0, 5000)


async def test_a_file_without_a_number_replaces_nothing_but_an_empty_one_does(
    database: Database,
) -> None:
    await import_of(database, How.ADD, LISTED.encode())
    with pytest.raises(NothingReadableError):
        await import_of(database, How.REPLACE, b"name\nAnn\n")
    lists = SuppressedNumbers(database)
    assert await lists.count(DNC) == 1
    await import_of(database, How.REPLACE)
    assert await lists.count(DNC) == 0
