"""Loads of the documentation: the commands of its pages, with sizes that end soon."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks_run_by
from tests.docs.surroundings import surroundings
from tests.docs.trying import try_block
from tests.e2e.report import Report

WITHIN_S = 900.0
COMMANDS = [
    pytest.param(block, line, id=f"{block.page.stem}-{block.line}-{number}")
    for block in blocks_run_by(__file__)
    for number, line in enumerate(block.lines(), start=1)
]


@pytest.mark.parametrize(("block", "line"), COMMANDS)
def test_a_load_runs_to_its_end(block: Block, line: str, short: bool, report: Report) -> None:
    if short:
        pytest.skip("minutes of loads: in the long form only")
    # A short name: sockets of PostgreSQL are made below it.
    with (
        tempfile.TemporaryDirectory(prefix="pp-") as folder,
        surroundings(Path(folder), {}) as around,
    ):
        try_block(around, replace(block, text=line), None, WITHIN_S)
    report.fact("ended with 0", line)
