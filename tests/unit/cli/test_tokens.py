"""``pingpost token``: what may be asked for is told before anything is done."""

import pytest
from click.testing import CliRunner

from auction.cli import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scope", "root"], "--scope must be 'calls', 'read', 'admin', 'pii' or 'postback'"),
        (["--scope", ","], "--scope must have at least 1 entry"),
        (["--scope", "admin", "--source", "pub"], "--scope can't have admin where there is"),
        (["--scope", "postback"], "--buyer is required by scope postback"),
        (["--scope", "read", "--burst", "5"], "--per-second"),
        (["--scope", "read", "--per-second", "0"], "--per-second must be at least 0.001"),
        (["--scope", "read", "--expires-at", "soon"], "--expires-at must be an RFC 3339 time"),
        (["--scope", "read", "--expires-at", "2020-01-01T00:00:00Z"], "in the future"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused_by_its_option(
    arguments: list[str], told: str
) -> None:
    result = CliRunner().invoke(main, ["token", "create", "--name", "n", *arguments])
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_the_help_teaches_whose_token_needs_what() -> None:
    result = CliRunner().invoke(main, ["token", "create", "--help"])
    text = " ".join(result.output.split())
    for words in ("--scope postback --buyer ID", "--scope calls --switch ID", "--expires-at"):
        assert words in text
    group = CliRunner().invoke(main, ["token", "--help"]).output
    assert all(command in group for command in ("create", "list", "revoke"))
