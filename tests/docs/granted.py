"""The service and the simulated buyers that a page takes for granted: those of the README."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.docs.preloaded import Starter
from tests.docs.surroundings import Surroundings

VARIABLES = {
    "PINGPOST_BOOTSTRAP_TOKEN": "secret",
    "PINGPOST_OUTBOUND_ALLOW": "127.0.0.0/8",
    "ACME_TOKEN": "a",
    "BEACON_KEY": "b",
    "TOKEN": "secret",
    "ADMIN": "secret",
}
BUYERS = ("simulate-buyers", "tests/fixtures/buyers.yaml")
READY = "curl -s -o /dev/null --retry 90 --retry-connrefused --retry-delay 1 {url}/readyz"
READY_WITHIN_S = 100.0


def variables_of(told: str | None) -> dict[str, str]:
    """What is in the environment behind ``FILE [alone] [NAME=VALUE ...]``; None: nothing is."""
    if told is None:
        return {}
    return {**VARIABLES, **dict(word.split("=", 1) for word in told.split() if "=" in word)}


@contextmanager
def granted(around: Surroundings, told: str | None, starter: Starter) -> Iterator[None]:
    """Have it running behind ``FILE [alone] [NAME=VALUE ...]``; ``alone``: nobody bids."""
    if told is None:
        yield
        return
    marketplace, *words = told.split()
    commands: list[tuple[str, ...]] = [] if "alone" in words else [BUYERS]
    commands.append(("serve", "--marketplace", marketplace))
    started = [starter.start(each, around.environment, around.folder) for each in commands]
    try:
        ready = around.shell.run(
            READY.format(url=around.here("http://127.0.0.1:9090")), READY_WITHIN_S
        )
        assert ready.code == 0, (around.folder / "granted.log").read_text(errors="replace")
        yield
    finally:
        for pid in reversed(started):
            starter.end(pid)
