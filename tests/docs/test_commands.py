"""Every command of the documentation is run, page by page, against what it speaks of."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.secret_box import new_key
from tests.docs.granted import granted, variables_of
from tests.docs.pages import COMMANDS, ROOT, Block, Page, all_pages
from tests.docs.preloaded import Starter, a_starter
from tests.docs.surroundings import surroundings
from tests.docs.trying import try_block

COMMAND_LANGUAGES = {"bash", "shell", "console", "zsh", "terminal"}
_LOOKS_LIKE_A_COMMAND = re.compile(
    r"\$? ?(curl|pingpost|\.venv/bin/\w+|make|python3?|sudo|apt-get) "
)
_TARGET = re.compile(r"^([a-z0-9-]+): ?(.*?) ?##", re.MULTILINE)
CI = ".ci/run"

PAGES = all_pages()
BLOCKS = [block for page in PAGES for block in page.blocks if block.language == COMMANDS]
RUN_ELSEWHERE = [block for block in BLOCKS if block.runner is not None]


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    """Starts what pages take for granted."""
    with a_starter() as starter:
        yield starter


@pytest.mark.parametrize(
    "page", [each for each in PAGES if list(each.commands())], ids=lambda each: each.name
)
def test_what_a_page_tells_to_type_does_what_it_shows(
    page: Page, tmp_path: Path, starter: Starter, request: pytest.FixtureRequest
) -> None:
    if shutil.which("curl") is None:
        said = "curl is not installed here, and the documentation's commands need it"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    environment = variables_of(page.service)
    if page.service:
        environment["PINGPOST_SECRET_KEY"] = new_key()
        environment["PINGPOST_DSN"] = request.getfixturevalue("dsn")
    if page.database:
        environment[page.database] = request.getfixturevalue("empty_dsn")
    with (
        surroundings(tmp_path, environment) as around,
        granted(around, page.service, starter),
    ):
        for block, after in page.commands():
            try_block(around, block, after)


@pytest.mark.parametrize("page", PAGES, ids=lambda each: each.name)
def test_commands_stand_in_blocks_that_are_run(page: Page) -> None:
    for block in page.blocks:
        assert block.language, f"{block.place}: say what it is: sh, json, yaml, text, ..."
        assert block.language not in COMMAND_LANGUAGES, f"{block.place}: commands are ```sh"
        if block.language == "text":
            assert not _LOOKS_LIKE_A_COMMAND.match(block.text), f"{block.place}: commands are ```sh"


@pytest.mark.parametrize("block", RUN_ELSEWHERE, ids=lambda each: each.place)
def test_what_another_file_runs_is_run_there_word_for_word(block: Block) -> None:
    assert block.runner is not None
    if block.runner == CI:
        assert set(block.lines()) <= commands_of_ci(), block.place
    else:
        text = (ROOT / block.runner).read_text(encoding="utf-8")
        assert "blocks_run_by(__file__)" in text, f"{block.place}: {block.runner}"


def commands_of_ci() -> set[str]:
    """The commands of the file that CI runs, and those that make runs before them."""
    script = (ROOT / CI).read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in script, "a command that fails must fail it"
    found = {line for line in script if line.startswith("make ")}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target, first in _TARGET.findall(makefile):
        if f"make {target}" in found:
            found |= {f"make {each}" for each in first.split()}
    return found


def test_a_target_counts_with_those_that_make_runs_before_it() -> None:
    assert {"make check", "make lint", "make test"} <= commands_of_ci()
    assert "make bench" not in commands_of_ci()
