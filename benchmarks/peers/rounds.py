"""All contestants by turns, round after round, under each setting."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.generator import Generator, running_generator
from benchmarks.peers.comparator import OURS_WHOLE, Comparator, Contestant, Skipped
from benchmarks.peers.starting import running_comparators
from benchmarks.peers.turns import Turn, take_turn
from benchmarks.progress import Steps
from benchmarks.stack import Buyers, running_buyers, running_database, running_service
from benchmarks.stack.marketplace import MarketplaceOptions, make_marketplace


@dataclass(frozen=True, slots=True)
class Setting:
    """How many callers ask at once, and how late buyers answer."""

    callers: int
    delay_ms: float

    def __str__(self) -> str:
        late = f"after {self.delay_ms:g} ms" if self.delay_ms else "at once"
        return f"{self.callers} callers, buyers answering {late}"


@dataclass(frozen=True, slots=True)
class PeersOptions:
    """What is run: one race per combination of ``callers`` and ``delays_ms``.

    Each contestant has one turn of ``seconds`` a round. ``whole``: the product takes part.
    """

    comparators: Sequence[Comparator]
    callers: Sequence[int] = (16, 64)
    delays_ms: Sequence[float] = (0.0, 20.0)
    buyers: int = 10
    rounds: int = 3
    seconds: float = 2.0
    whole: bool = True

    @property
    def turns(self) -> int:
        """How many turns there are when nobody is skipped."""
        contestants = len(self.comparators) + self.whole
        return contestants * len(self.callers) * len(self.delays_ms) * self.rounds


@dataclass(frozen=True, slots=True)
class Race:
    """What one setting came to: each contestant's turns, in the order of the rounds."""

    setting: Setting
    titles: dict[str, str]
    turns: dict[str, list[Turn]]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class _Track:
    buyers: Buyers
    generator: Generator
    contestants: Sequence[Contestant]
    skipped: tuple[Skipped, ...]


async def run_peers(options: PeersOptions, steps: Steps) -> list[Race]:
    """Every race, a step for each turn. Raises BenchmarkError when a process dies."""
    races: list[Race] = []
    for delay_ms in options.delays_ms:
        settings = [Setting(callers, delay_ms) for callers in options.callers]
        async with _track(options, delay_ms, steps) as track:
            races += [await _race(track, setting, options, steps) for setting in settings]
    return races


async def _race(track: _Track, setting: Setting, options: PeersOptions, steps: Steps) -> Race:
    turns: dict[str, list[Turn]] = {each.name: [] for each in track.contestants}
    for number in range(options.rounds):
        for each in rotated(track.contestants, number):
            steps.tell(f"{each.title}: {setting}")
            turn = await take_turn(
                each, track.buyers, track.generator, setting.callers, options.seconds
            )
            turns[each.name].append(turn)
            steps.over()
    titles = {each.name: each.title for each in track.contestants}
    return Race(setting, titles, turns, track.skipped)


def rotated(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """The order of round ``number``: each comes first in turn."""
    first = number % len(contestants) if contestants else 0
    return [*contestants[first:], *contestants[:first]]


@asynccontextmanager
async def _track(options: PeersOptions, delay_ms: float, steps: Steps) -> AsyncIterator[_Track]:
    with tempfile.TemporaryDirectory(prefix="pingpost-peers-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            buyers = await stack.enter_async_context(
                running_buyers(folder, options.buyers, delay_ms, steady=True)
            )
            generator = await stack.enter_async_context(running_generator(folder))
            contestants, skipped = await stack.enter_async_context(
                running_comparators(options.comparators, folder, buyers, steps.tell)
            )
            if options.whole:
                steps.tell("starting PostgreSQL and the service")
                contestants.append(await stack.enter_async_context(_product(folder, buyers)))
            yield _Track(buyers, generator, contestants, tuple(skipped))


@asynccontextmanager
async def _product(folder: Path, buyers: Buyers) -> AsyncIterator[Contestant]:
    marketplace = make_marketplace(MarketplaceOptions(ports=buyers.ports))
    async with (
        running_database(folder) as database,
        running_service(folder, database, marketplace) as service,
    ):
        yield Contestant(
            OURS_WHOLE,
            "ours, whole product",
            service.port,
            service.process.pid,
            service.token,
        )
