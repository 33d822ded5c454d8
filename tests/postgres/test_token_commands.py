"""``pingpost token`` on a database: made for whom the marketplace knows, listed, revoked."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auction.cli import main
from auction.marketplaces import apply_file
from auction.stores import open_store
from config.settings import load_settings
from storage.database import Database
from storage.tokens import StoredToken, list_tokens
from tests.postgres.test_marketplaces import a_file

Run = Callable[..., Result]
KEY = "A" * 43 + "="


@pytest.fixture
def pingpost(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a database that has a marketplace."""
    monkeypatch.setenv("PINGPOST_DSN", dsn)
    monkeypatch.setenv("PINGPOST_SECRET_KEY", KEY)

    async def set_up() -> None:
        async with open_store(load_settings({}, None)) as store:
            await apply_file(store.database, store.box, a_file(tmp_path), {})

    asyncio.run(set_up())
    return lambda *arguments: CliRunner().invoke(main, ["token", *arguments])


def test_a_token_is_made_for_a_buyer_of_the_marketplace_only(pingpost: Run, dsn: str) -> None:
    strange = pingpost("create", "--name", "n", "--scope", "read", "--buyer", "nobody")
    assert strange.exit_code == 2
    assert "--buyer names nothing of the marketplace" in strange.output
    limits = ("--per-second", "2.5", "--expires-at", "2999-01-01T00:00:00Z")
    made = pingpost("create", "--name", "Acme", "--scope", "read", "--buyer", "acme", *limits)
    assert made.exit_code == 0, made.output
    [stored] = asyncio.run(tokens_of(dsn))
    limit = stored.grant.rate_limit
    assert limit is not None
    assert (stored.grant.buyer, limit.per_second, limit.burst) == ("acme", 2.5, 3)
    [line] = pingpost("list").output.splitlines()
    bound = "buyer acme  2.5/s, 3 at once, until 2999-01-01T00:00:00Z  Acme"
    assert line == f"{stored.grant.id}  good  read  {bound}"
    assert made.output.strip() not in line


def test_a_revoked_token_is_listed_only_when_it_is_asked_for(pingpost: Run, dsn: str) -> None:
    for name in ("one", "other"):
        pingpost("create", "--name", name, "--scope", "calls", "--switch", name)
    first, other = asyncio.run(tokens_of(dsn))
    assert pingpost("revoke", first.grant.id).output == f"{first.grant.id}: revoked\n"
    again = pingpost("revoke", first.grant.id)
    assert (again.exit_code, again.output) == (0, f"{first.grant.id}: was revoked before\n")
    assert other.grant.id in pingpost("list").output
    assert first.grant.id not in pingpost("list").output
    whole = pingpost("list", "--all").output.splitlines()
    assert [line.split()[:2] for line in whole] == [
        [first.grant.id, "revoked"],
        [other.grant.id, "good"],
    ]


def test_a_token_that_is_not_there_can_not_be_revoked(pingpost: Run) -> None:
    assert pingpost("list").output == ""
    unknown = pingpost("revoke", "tok_0000000000000000")
    assert unknown.exit_code == 1
    assert "`pingpost token list` tells them" in unknown.output


async def tokens_of(dsn: str) -> list[StoredToken]:
    database = await Database.connect(dsn, max_size=1)
    try:
        return await list_tokens(database, 100)
    finally:
        await database.close()
