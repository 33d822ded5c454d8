"""Every command of the documentation is run, page by page, against what it speaks of."""

import os
import re
import shutil
from pathlib import Path

import pytest

from config.secret_box import new_key
from tests.docs.comparing import differences_of_json, differences_of_text
from tests.docs.pages import ROOT, Block, Page, all_pages
from tests.docs.surroundings import Surroundings, surroundings

WITHIN_S = 120.0
RUN = "sh"
OUTPUTS = {"json": differences_of_json, "text": differences_of_text}
COMMAND_LANGUAGES = {"bash", "shell", "console", "zsh", "terminal"}
_LOOKS_LIKE_A_COMMAND = re.compile(r"\$? ?(curl|pingpost|\.venv/bin/\w+|make|python3?|sudo|apt-get) ")
_CHECKED_BY = re.compile(r"checked by `?((?:tests|\.ci)/[\w./-]+|make [\w-]+)`?")

PAGES = all_pages()


def commands_of(page: Page) -> list[Block]:
    """The blocks with commands, in order."""
    return [block for block in page.blocks if block.language == RUN]


def tried(page: Page) -> bool:
    """Whether there is a command on the page that a test runs."""
    return any("not run" not in block.directives for block in commands_of(page))


@pytest.mark.parametrize("page", [each for each in PAGES if tried(each)], ids=lambda each: each.name)
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
    with surroundings(page, tmp_path, environment) as around:
        for index, block in enumerate(page.blocks):
            if block.language == RUN and "not run" not in block.directives:
                after = page.blocks[index + 1] if index + 1 < len(page.blocks) else None
                try_block(around, block, after)


def try_block(around: Surroundings, block: Block, after: Block | None) -> None:
    """Run one block, and compare its output with the block that follows it directly."""
    before = block.directives.get("before")
    if before:
        ran = around.shell.run(around.here(before), WITHIN_S)
        assert not ran.failed, f"{block.place}: before: {ran.failed}\n{ran.output}\n{ran.errors}"
    ran = around.shell.run(around.here(block.text), WITHIN_S)
    wanted = int(block.directives.get("exits", "0"))
    told = f"{block.place}: {ran.failed}\n{ran.output}\n{ran.errors}"
    assert ran.code == wanted, told
    assert wanted != 0 or not ran.failed, told
    if after is None or not after.follows or after.language not in OUTPUTS:
        return
    differ = OUTPUTS[after.language]
    varies = after.directives.get("varies", "").split()
    found = differ(after.text, around.on_page(ran.output), varies)
    assert not found, f"{after.place}: " + "\n".join(found) + f"\n{ran.output}\n{ran.errors}"


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
    blocks = [block for page in PAGES for block in commands_of(page)]
    left_out = [block.place for block in blocks if "not run" in block.directives]
    assert len(left_out) <= len(blocks) / 3, "\n".join(left_out)
