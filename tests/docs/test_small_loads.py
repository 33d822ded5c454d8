"""Loads of pages: every option they show is taken, and what is run instead is small."""

import shlex

import click
import pytest

from tests.docs.pages import COMMANDS, all_pages
from tests.docs.small_loads import read, small

SHOWN = [
    line.partition(" -m benchmarks ")[2]
    for page in all_pages()
    for block in page.blocks
    if block.language == COMMANDS
    for line in block.lines()
    if " -m benchmarks " in line
]


def test_the_pages_show_every_command() -> None:
    assert {line.split()[0] for line in SHOWN} == {"load", "scale", "peers", "micro", "reports"}


@pytest.mark.parametrize("line", SHOWN)
def test_a_load_is_taken_by_its_command_as_it_is_shown_and_in_small(line: str) -> None:
    read(shlex.split(line))
    read(small(shlex.split(line)))


@pytest.mark.parametrize(
    "line", ["load --duratoin 8", "load --duration 9000", "scale --only moon", "lift"]
)
def test_what_a_command_would_not_take_is_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        read(line.split())


def test_sizes_that_are_shown_are_replaced() -> None:
    arguments = small(["load", "--in-flight", "1000", "--rate", "300", "--duration", "3600"])
    assert arguments[:5] == ["load", "--in-flight", "4", "--rate", "5"]
    assert arguments[arguments.index("--duration", 7) + 1] == "0.5"
