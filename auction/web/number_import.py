"""Numbers on their way to a list, or off it: as a stream, a batch at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from auction.domain.ids import SuppressionId
from auction.web.number_lines import Lines, NumberReader

AT_ONCE: Final = 2000
"""How many lines are read, hashed and stored in one go."""

MOST_FAULTS: Final = 20


class NumberLists(Protocol):
    """Where numbers are kept; all raise StorageUnavailableError."""

    async def current(self, suppression: SuppressionId) -> int:
        """The list's content in force."""

    async def add(self, key: int, hashes: Sequence[bytes]) -> int:
        """How many numbers were not there before."""

    async def remove(self, key: int, hashes: Sequence[bytes]) -> int:
        """How many numbers were there."""

    def replacing(self, suppression: SuppressionId) -> AbstractAsyncContextManager[int]:
        """A content that takes the place of the one in force when all has gone well."""

    async def settle(self, added: int) -> None:
        """So many have come."""

    async def note(
        self, suppression: SuppressionId, action: str, counts: Mapping[str, int], by: str | None
    ) -> None:
        """Note what was done to a list by whom; None: by a command."""

    async def count(self, suppression: SuppressionId) -> int:
        """How many numbers are on a list."""

    async def lists_of(self, caller_hash: bytes) -> Sequence[SuppressionId]:
        """The lists that a number is on."""


class How(Enum):
    """What is done with the numbers of a body."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


class NothingReadableError(Exception):
    """Not one line held a number, so the list stays as it was."""

    def __init__(self, tally: "Tally") -> None:
        super().__init__("no line holds a phone number")
        self.tally = tally


@dataclass(slots=True)
class Tally:
    """What became of the lines. ``changed`` numbers were added, or removed."""

    lines: int = 0
    valid: int = 0
    changed: int = 0
    invalid: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        """Numbers that were on the list already, or not on it, or that were there twice."""
        return self.valid - self.changed


@dataclass(frozen=True, slots=True)
class NumberImport:
    """One body for one list. ``keyed`` hashes an E.164 number as calls' callers are hashed.

    ``by`` is who sent it, None for a command; ``tally`` grows while it runs.
    """

    lists: NumberLists
    suppression: SuppressionId
    reader: NumberReader
    keyed: Callable[[str], bytes]
    by: str | None = None
    tally: Tally = field(default_factory=Tally)

    async def run(self, how: How, pieces: AsyncIterator[bytes]) -> Tally:
        """What became of it. Batches that were stored stay stored when a later one fails.

        A list that is replaced is the old one until the very end. Raises LineTooLongError,
        NothingReadableError, ListReplacedError, StorageUnavailableError.
        """
        try:
            if how is How.REPLACE:
                async with self.lists.replacing(self.suppression) as key:
                    await self._store(pieces, key, self.lists.add)
                    if self.tally.invalid and not self.tally.valid:
                        raise NothingReadableError(self.tally)
            else:
                store = self.lists.add if how is How.ADD else self.lists.remove
                await self._store(pieces, await self.lists.current(self.suppression), store)
        except BaseException:
            if self.tally.changed and how is not How.REPLACE:
                await self._note(f"{how.value}_numbers_cut_off")
            raise
        await self._note(f"{how.value}_numbers")
        if how is not How.REMOVE:
            await self.lists.settle(self.tally.changed)
        return self.tally

    async def _note(self, action: str) -> None:
        tally = self.tally
        counts = {"lines": tally.lines, "changed": tally.changed, "invalid": tally.invalid}
        await self.lists.note(self.suppression, action, counts, self.by)

    async def _store(self, pieces: AsyncIterator[bytes], key: int, store: "_Store") -> None:
        tally = self.tally
        async for batch in _batches(pieces):
            # Hashing thousands takes a while; calls go on being decided meanwhile.
            hashes, faults = await asyncio.to_thread(self.reader.read, batch, self.keyed)
            tally.lines = self.reader.line
            tally.valid += len(hashes)
            tally.invalid += len(faults)
            tally.faults += faults[: MOST_FAULTS - len(tally.faults)]
            if hashes:
                tally.changed += await store(key, hashes)


class _Store(Protocol):
    async def __call__(self, key: int, hashes: Sequence[bytes]) -> int: ...


async def _batches(pieces: AsyncIterator[bytes]) -> AsyncIterator[Sequence[bytes]]:
    lines, batch = Lines(), list[bytes]()
    async for piece in pieces:
        batch += lines.feed(piece)
        while len(batch) >= AT_ONCE:
            yield batch[:AT_ONCE]
            del batch[:AT_ONCE]
    batch += lines.end()
    if batch:
        yield batch
