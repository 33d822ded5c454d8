"""Every command of the documentation is run, page by page, against what it speaks of."""

import os
import re
import shutil
from pathlib import Path

import pytest

from config.secret_box import new_key
from tests.docs.pages import COMMANDS, ROOT, Page, all_pages
from tests.docs.surroundings import surroundings
from tests.docs.trying import try_block

COMMAND_LANGUAGES = {"bash", "shell", "console", "zsh", "terminal"}
_LOOKS_LIKE_A_COMMAND = re.compile(
    r"\$? ?(curl|pingpost|\.venv/bin/\w+|make|python3?|sudo|apt-get) "
)
_CHECKED_BY = re.compile(r"checked by `?((?:tests|\.ci)/[\w./-]+|make [\w-]+)`?")

PAGES = all_pages()
TRIED = [page for page in PAGES if list(page.commands())]


@pytest.mark.parametrize(
    "page", [each for each in PAGES if list(each.commands())], ids=lambda each: each.name
)
def test_what_a_page_tells_to_type_does_what_it_shows(
    page: Page, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if shutil.which("curl") is None:
        said = "curl is not installed here, and the documentation's commands need it"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    environment = {"PINGPOST_SECRET_KEY": new_key()} if page.service else {}
    if page.service:
        environment["PINGPOST_DSN"] = request.getfixturevalue("dsn")
    if page.database:
        environment[page.database] = request.getfixturevalue("empty_dsn")
    with surroundings(page, tmp_path, environment) as around:
        for block, after in page.commands():
            try_block(around, block, after)


@pytest.mark.parametrize("page", PAGES, ids=lambda each: each.name)
def test_commands_stand_in_blocks_that_are_run(page: Page) -> None:
    for block in page.blocks:
        assert block.language, f"{block.place}: say what it is: sh, json, yaml, text, ..."
        assert block.language not in COMMAND_LANGUAGES, f"{block.place}: commands are ```sh"
        if block.language == "text":
            assert not _LOOKS_LIKE_A_COMMAND.match(block.text), f"{block.place}: commands are ```sh"


def test_what_is_not_run_says_why_and_what_covers_it() -> None:
    for page in PAGES:
        for block in page.blocks:
            reason = block.directives.get("not run")
            if reason is None:
                continue
            covered = _CHECKED_BY.search(reason)
            assert covered, f"{block.place}: say `checked by tests/...` or `checked by make ...`"
            name = covered[1].rstrip(".")
            if name.startswith("make "):
                targets = (ROOT / "Makefile").read_text(encoding="utf-8")
                assert f"\n{name.removeprefix('make ')}:" in targets, f"{block.place}: {name}"
            else:
                assert (ROOT / name).exists(), f"{block.place}: {name} is not there"


def test_few_commands_are_not_run() -> None:
    blocks = [block for page in PAGES for block in page.blocks if block.language == COMMANDS]
    left_out = [block.place for block in blocks if "not run" in block.directives]
    assert len(left_out) <= len(blocks) / 3, "\n".join(left_out)
