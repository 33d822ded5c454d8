"""``--config FILE`` before and after a command."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from auction.cli import main

MARKETPLACE = "FILE"
COMMANDS = [
    ["serve"],
    ["apply", MARKETPLACE],
    ["export"],
    ["migrate"],
    ["token", "create", "--name", "switch", "--scope", "calls"],
]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Settings that no command can start with; the fault shows that they were read."""
    file = tmp_path / "settings.toml"
    file.write_text("prot = 1\n")
    return file


def told(tmp_path: Path, arguments: list[str]) -> str:
    """What the command says before it ends with 1."""
    marketplace = tmp_path / "marketplace.yaml"
    marketplace.write_text("currency: USD\n")
    named = [str(marketplace) if each == MARKETPLACE else each for each in arguments]
    result = CliRunner().invoke(main, named)
    assert result.exit_code == 1, result.output
    return result.output


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_commands_settings_file_may_stand_before_or_after_it(
    tmp_path: Path, broken: Path, command: list[str]
) -> None:
    for arguments in (["--config", str(broken), *command], [*command, "--config", str(broken)]):
        assert f"prot in {broken}" in told(tmp_path, arguments)


def test_the_settings_file_nearest_to_the_command_is_read(tmp_path: Path, broken: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("wrokers = 1\n")
    output = told(tmp_path, ["--config", str(broken), "migrate", "--config", str(other)])
    assert f"wrokers in {other}" in output
    assert "prot" not in output


def test_a_settings_file_that_is_not_there_is_told() -> None:
    result = CliRunner().invoke(main, ["serve", "--config", "nowhere.toml"])
    assert result.exit_code == 2
    assert "nowhere.toml" in result.output
