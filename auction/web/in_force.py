"""The marketplace in force, for those who ask about what they have just put in it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from auction.domain.terms import Catalogue
from auction.ports import StorageUnavailableError

PATIENCE_S: Final = 1.0
"""How long a change takes at most to be in force."""

LOOK_EVERY_S: Final = 0.02


class TermsInForce:
    """``terms``: those in force, None before the first; ``newest``: the revision that should be."""

    def __init__(
        self,
        terms: Callable[[], Catalogue | None],
        newest: Callable[[], Awaitable[int]],
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._terms = terms
        self._newest = newest
        self._patience_s = patience_s

    def now(self) -> Catalogue:
        """Raises StorageUnavailableError before the first."""
        catalogue = self._terms()
        if catalogue is None:
            raise StorageUnavailableError("the marketplace is not loaded yet")
        return catalogue

    async def having(self, has: Callable[[Catalogue], bool]) -> Catalogue:
        """The one in force, if it has what is asked for; else what is stored is waited for.

        Raises StorageUnavailableError.
        """
        return self.now() if has(self.now()) else await self.latest()

    async def latest(self) -> Catalogue:
        """All that was changed until now, once it is in force. Raises StorageUnavailableError."""
        newest = await self._newest()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while self.now().revision < newest:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(LOOK_EVERY_S)
        return self.now()
