"""What pages show of files and answers can be read by what reads it."""

import json
import re

import pytest

from buyers.simulator.script import parse_script
from config.check import check
from config.yaml_file import load_yaml
from tests.docs.pages import Block, all_pages
from tests.docs.snippets import kind_of, whole_marketplace, whole_script

_VARIABLE = re.compile(r"\{env: (\w+)\}")
_NOT_OURS = "part of"
"""Whose file a block is a part of, where it is none of ours: ``<!-- part of: compose -->``."""


def blocks_in(*languages: str) -> list[Block]:
    return [block for page in all_pages() for block in page.blocks if block.language in languages]


@pytest.mark.parametrize("block", blocks_in("yaml"), ids=lambda each: each.place)
def test_yaml_is_taken_by_the_loader(block: Block) -> None:
    data = load_yaml(block.text)
    assert isinstance(data, dict), "a piece of a file"
    kind = kind_of(data, block.directives.get(_NOT_OURS))
    assert kind is not None, f"of no known file: {sorted(data)}; say `part of: …` above it"
    environment = dict.fromkeys(_VARIABLE.findall(block.text), "value")
    if kind in {"script", "simulated buyer", "dialect"}:
        parse_script(whole_script(kind, data), environment)
    elif kind in {"marketplace", "campaign", "offer", "ping_post"}:
        result = check(whole_marketplace(kind, data), environment)
        assert not result.faults, "\n".join(str(fault) for fault in result.faults)


@pytest.mark.parametrize("block", blocks_in("json"), ids=lambda each: each.place)
def test_json_can_be_read(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks_in("python"), ids=lambda each: each.place)
def test_python_can_be_compiled(block: Block) -> None:
    flags = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(block.text, block.place, "exec", flags)
