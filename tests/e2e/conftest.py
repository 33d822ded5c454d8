"""Fixtures of the end-to-end tests: real programs, on loopback or in namespaces of their own."""

from collections.abc import Iterator

import pytest

from tests.e2e.report import Report


@pytest.fixture
def short(request: pytest.FixtureRequest) -> bool:
    """Whether this is the short form, as in CI."""
    return bool(request.config.getoption("--short"))


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """What this test did and compared; written whether it passes or not."""
    written = Report(request.node.name)
    failed_before = request.session.testsfailed
    yield written
    failed = request.session.testsfailed > failed_before
    written.write("failed" if failed else "passed")
