"""``pingpost token create``: whom a token is bound to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from auction.cli import main

DATABASE = object()
Made = list[tuple[str, Sequence[str], dict[str, str | None]]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """What is made: name, scopes and what the token is bound to."""
    made: Made = []

    @asynccontextmanager
    async def open_store(_: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(database=DATABASE)

    async def create_token(
        database: object, name: str, scopes: Sequence[str], **bound: str | None
    ) -> SimpleNamespace:
        assert database is DATABASE
        made.append((name, scopes, bound))
        return SimpleNamespace(token="pp_new")  # made up

    monkeypatch.setattr("auction.stores.open_store", open_store)
    monkeypatch.setattr("storage.tokens.create_token", create_token)
    return made


def create(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["token", "create", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_token_is_printed_once_and_bound_to_nobody_unless_told(made: Made) -> None:
    assert create("--name", "ops", "--scope", "read,admin", "--scope", "pii") == "pp_new\n"
    assert made == [
        ("ops", ["read", "admin", "pii"], {"buyer": None, "source": None, "switch": None})
    ]


def test_a_token_is_bound_to_a_buyer_a_source_or_a_switch(made: Made) -> None:
    create("--name", "acme", "--scope", "postback,read", "--buyer", "acme")
    create("--name", "pub", "--scope", "read", "--source", "pub-17")
    create("--name", "switch", "--scope", "calls", "--switch", "switch-1")
    assert [bound for _, _, bound in made] == [
        {"buyer": "acme", "source": None, "switch": None},
        {"buyer": None, "source": "pub-17", "switch": None},
        {"buyer": None, "source": None, "switch": "switch-1"},
    ]


def test_the_help_tells_how_a_buyer_gets_a_token_for_its_reports() -> None:
    result = CliRunner().invoke(main, ["token", "create", "--help"])
    assert "--scope postback --buyer ID" in " ".join(result.output.split())
    assert "--source" in result.output
