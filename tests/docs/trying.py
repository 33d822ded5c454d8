"""Running one block of commands and comparing its output with what the page shows."""

import time

from tests.docs.comparing import differences_of_json, differences_of_text
from tests.docs.pages import Block
from tests.docs.surroundings import Surroundings

WITHIN_S = 120.0
AGAIN_FOR_S = 60.0
AGAIN_AFTER_S = 0.5

OUTPUTS = {"json": differences_of_json, "text": differences_of_text}
"""How a block that follows commands directly is compared with their output."""


def try_block(
    around: Surroundings, block: Block, after: Block | None, within_s: float = WITHIN_S
) -> None:
    """Run one block; one marked ``again`` until it shows what the page does. Raises."""
    run_before(around, block)
    until = time.monotonic() + (AGAIN_FOR_S if "again" in block.directives else 0)
    while wrong := run_and_compare(around, block, after, within_s):
        if time.monotonic() >= until:
            raise AssertionError(wrong)
        time.sleep(AGAIN_AFTER_S)


def run_before(around: Surroundings, block: Block) -> None:
    """Run what the page takes for granted at this block. Raises."""
    before = block.directives.get("before")
    if before:
        ran = around.shell.run(around.here(before), WITHIN_S)
        assert not ran.failed, f"{block.place}: before: {ran.failed}\n{ran.output}\n{ran.errors}"


def run_and_compare(
    around: Surroundings, block: Block, after: Block | None, within_s: float = WITHIN_S
) -> str:
    """What is wrong with what the block did, empty for nothing. ``after`` is the next block."""
    ran = around.shell.run(around.here(block.text), within_s)
    wanted = int(block.directives.get("exits", "0"))
    told = f"{ran.output}\n{ran.errors}"
    if ran.code != wanted or (ran.failed and not wanted):
        return f"{block.place}: ended with {ran.code}: {ran.failed}\n{told}"
    if after is None or not after.follows or after.language not in OUTPUTS:
        return ""
    varies = after.directives.get("varies", "").split()
    found = OUTPUTS[after.language](after.text, around.on_page(ran.output), varies)
    return "\n".join([after.place, *found, told]) if found else ""
