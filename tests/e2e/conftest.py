"""Fixtures of the end-to-end tests: real programs, on loopback or in namespaces of their own."""

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio

from storage.embedded import EmbeddedServer
from tests.e2e.engine import Engine, an_engine
from tests.e2e.images import make_images
from tests.e2e.report import FOLDER, Report

OUTCOME = pytest.StashKey[str]()


def pytest_sessionstart() -> None:
    """What is read afterwards is of this run alone."""
    for old in FOLDER.glob("*.md"):
        old.unlink()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep how the test itself ended, or why it never began, for its report."""
    told = yield
    if told.when == "call" or not told.passed:
        why = told.longrepr[2] if isinstance(told.longrepr, tuple) else told.outcome
        item.stash.setdefault(OUTCOME, why)
    return told


@pytest.fixture
def short(request: pytest.FixtureRequest) -> bool:
    """Whether this is the short form, as in CI."""
    return bool(request.config.getoption("--short"))


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """What this test did and compared; written however it ends."""
    written = Report(request.node.name)
    yield written
    written.write(request.node.stash.get(OUTCOME, "broken off"))


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The URL of a server that can be reached by TCP as well, and at which address."""
    octets = Random().sample(range(1, 255), 3)
    address = f"127.{octets[0]}.{octets[1]}.{octets[2]}"
    server = EmbeddedServer(tmp_path / "data", settings={"listen_addresses": address})
    yield await server.start(), address
    await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    """Docker with the images that ``compose.yaml`` and a cluster need but for the service's."""
    if request.config.getoption("--short"):
        pytest.skip("minutes of building a system and images: in the long form only")
    async with an_engine(tmp_path_factory.mktemp("engine")) as engine:
        await make_images(engine)
        yield engine
