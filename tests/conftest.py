"""Fixtures for every layer of tests."""

import pytest
from hypothesis import settings

# The same examples on every run, however slow the machine is; `make thorough` looks for others.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("searching", deadline=None, database=None, max_examples=1000)
settings.load_profile("repeatable")

pytest_plugins = ["tests.postgres_fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one way in which golden files change, and the long forms of slow suites."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what happens now into the golden files; review the diff",
    )
    parser.addoption(
        "--all-steps",
        action="store_true",
        help="kill at every step where the short form tries one in five, search longer for faults",
    )
    parser.addoption(
        "--short",
        action="store_true",
        help="end-to-end tests: fewer calls, the form that CI runs",
    )
