"""Tokens and keys on a real server."""

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from auction.domain.throttle import RateLimit
from auction.ports import StorageUnavailableError
from config.secret_box import SecretBox
from storage.database import Database
from storage.errors import SecretKeyError
from storage.keys import ServiceKey, load_or_make_secret_key, service_key
from storage.tokens import (
    TokenStore,
    create_token,
    get_token,
    list_tokens,
    revoke_token,
)
from tests.eventually import eventually

IDENTITY = ServiceKey.CALLER_IDENTITY
BOX = SecretBox(b"k" * 32)
DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def store(database: Database) -> AsyncIterator[TokenStore]:
    store = TokenStore(database)
    await store.start()
    yield store
    await store.stop()


async def test_a_new_token_is_good_within_a_second(database: Database, store: TokenStore) -> None:
    made = await create_token(
        database, "switch 1", ["calls", "read"], buyer="acme", source="pub", switch="s1"
    )

    async def known() -> bool:
        return await store.lookup(made.token) == made.grant

    await eventually(known, within_s=1.0)
    assert made.token.startswith("pp_")
    assert len(made.token) == 3 + 43
    assert made.grant.scopes == {"calls", "read"}
    assert (made.grant.buyer, made.grant.source, made.grant.switch) == ("acme", "pub", "s1")


async def test_tokens_made_before_the_start_are_good_at_once(database: Database) -> None:
    made = [await create_token(database, str(number), ["read"]) for number in range(3)]
    store = TokenStore(database)
    with pytest.raises(StorageUnavailableError):
        await store.lookup(made[0].token)
    await store.start()
    assert [await store.lookup(token.token) for token in made] == [token.grant for token in made]
    await store.stop()


async def test_a_revoked_token_is_useless_within_a_second(
    database: Database, store: TokenStore
) -> None:
    made = await create_token(database, "gone soon", ["admin"])
    stays = await create_token(database, "stays", ["admin"])

    async def is_known(token: str) -> bool:
        return await store.lookup(token) is not None

    await eventually(lambda: is_known(made.token), within_s=1.0)
    assert await revoke_token(database, made.grant.id)

    async def is_useless() -> bool:
        return not await is_known(made.token)

    await eventually(is_useless, within_s=1.0)
    assert await is_known(stays.token)
    assert not await revoke_token(database, made.grant.id)
    assert not await revoke_token(database, "tok_unknown")


@pytest.mark.parametrize("token", ["", "pp_", "pp_unknown", "é", "\ud800", "x" * 10_000])
async def test_an_unknown_token_is_nobody(store: TokenStore, token: str) -> None:
    assert await store.lookup(token) is None


async def test_a_token_and_its_beginning_are_not_the_same(
    database: Database, store: TokenStore
) -> None:
    made = await create_token(database, "whole", ["read"])
    await store.stop()
    await store.start()
    assert await store.lookup(made.token) == made.grant
    assert await store.lookup(made.token[:-1]) is None
    assert await store.lookup(made.token + "A") is None


async def test_only_the_hash_is_kept(database: Database) -> None:
    made = await create_token(database, "secret", ["pii"])
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from tokens")
    assert row is not None
    assert row["hash"] == hashlib.sha256(made.token.encode()).digest()
    assert made.token not in repr(dict(row))
    assert made.token not in repr(made)


async def test_tokens_are_listed_without_their_text(database: Database) -> None:
    first = await create_token(database, "first", ["read"])
    second = await create_token(database, "second", ["postback"], buyer="acme")
    await revoke_token(database, first.grant.id)
    listed = await list_tokens(database, 10)
    assert [token.grant for token in listed] == [first.grant, second.grant]
    assert [token.revoked_at is not None for token in listed] == [True, False]


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "everything"]])
async def test_no_scope_and_unknown_scopes_are_refused(
    database: Database, scopes: list[str]
) -> None:
    with pytest.raises(ValueError, match="scopes"):
        await create_token(database, "none", scopes)
    assert await list_tokens(database, 10) == []


async def test_many_changes_at_once_are_all_seen(database: Database, store: TokenStore) -> None:
    made = await asyncio.gather(
        *(create_token(database, str(number), ["read"]) for number in range(20))
    )

    async def all_known() -> bool:
        return all([await store.lookup(token.token) for token in made])

    await eventually(all_known, within_s=1.0)


async def test_the_identity_key_is_made_once_by_whoever_comes_first(database: Database) -> None:
    keys = await asyncio.gather(*(service_key(database, BOX, IDENTITY) for _ in range(8)))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert await service_key(database, BOX, IDENTITY) == keys[0]


async def test_the_identity_key_is_not_stored_as_it_is(database: Database) -> None:
    key = await service_key(database, BOX, IDENTITY)
    async with database.connection() as connection:
        assert key not in await connection.fetchval("select wrapped from service_keys")


async def test_another_secret_key_is_refused_in_clear_words(database: Database) -> None:
    await service_key(database, BOX, IDENTITY)
    with pytest.raises(SecretKeyError, match="SECRET_KEY"):
        await service_key(database, SecretBox(b"other" + b"k" * 27), IDENTITY)


def test_a_secret_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    key = load_or_make_secret_key(tmp_path)
    assert len(key) == 32
    assert load_or_make_secret_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


@pytest.mark.parametrize("content", ["", "short", "ä" * 43, "!" * 44])
def test_a_damaged_secret_key_is_refused_without_repeating_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret.key").write_text(content)
    with pytest.raises(SecretKeyError) as caught:
        load_or_make_secret_key(tmp_path)
    assert not content or content not in str(caught.value)


async def test_each_service_key_is_its_own(database: Database) -> None:
    keys = [await service_key(database, BOX, key) for key in ServiceKey]
    assert len(set(keys)) == len(keys)


async def test_an_expired_token_is_useless_from_that_moment_on(database: Database) -> None:
    clock = [datetime.now(UTC)]
    made = await create_token(database, "brief", ["read"], expires_at=clock[0] + DAY)
    store = TokenStore(database, now=lambda: clock[0])
    await store.start()
    clock[0] += DAY - timedelta(microseconds=1)
    assert await store.lookup(made.token) == made.grant
    clock[0] += timedelta(microseconds=1)
    assert await store.lookup(made.token) is None
    await store.stop()


async def test_a_rate_limit_is_divided_among_the_processes(database: Database) -> None:
    limit = RateLimit(per_second=2, burst=4)
    made = await create_token(database, "four at once", ["read"], rate_limit=limit)
    free = await create_token(database, "as it likes", ["read"])
    moments = [100.0]
    alone, one_of_two = (
        TokenStore(database, processes=processes, monotonic=lambda: moments[0])
        for processes in (1, 2)
    )
    for store, at_once in ((alone, 4), (one_of_two, 2)):
        await store.start()
        passed = [store.wait_s(made.grant.id) == 0.0 for _ in range(6)]
        assert passed == [True] * at_once + [False] * (6 - at_once)
        assert not any(store.wait_s(free.grant.id) for _ in range(100))
    moments[0] += 0.5
    assert alone.wait_s(made.grant.id) == 0.0
    assert one_of_two.wait_s(made.grant.id) == pytest.approx(0.5)
    await alone.stop()
    await alone.start()
    assert alone.wait_s(made.grant.id) > 0, "loading the tokens again forgives nothing"
    await alone.stop()
    await one_of_two.stop()


async def test_a_page_of_tokens_goes_on_where_the_last_one_ended(database: Database) -> None:
    made = [await create_token(database, str(number), ["read"]) for number in range(5)]
    first = await list_tokens(database, 2)
    last = first[-1]
    rest = await list_tokens(database, 10, (last.created_at, last.grant.id))
    assert [token.grant for token in first + rest] == [token.grant for token in made]
    assert await get_token(database, made[2].grant.id) == rest[0]
    assert await get_token(database, "tok_unknown") is None


async def test_admin_is_for_tokens_that_are_bound_to_nobody(database: Database) -> None:
    with pytest.raises(ValueError, match="admin"):
        await create_token(database, "too much", ["admin"], buyer="acme")
