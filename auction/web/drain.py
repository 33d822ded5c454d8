"""Going down without losing a call: requests are counted, and keep no connection open."""

import asyncio


class Drain:
    """Shared by both ports. While draining, requests are answered, but no connection is kept."""

    def __init__(self) -> None:
        self._draining = False
        self._letting_go = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def draining(self) -> bool:
        """Whether the service is going down."""
        return self._draining

    @property
    def keeps_connections(self) -> bool:
        """Whether a connection stays open once its request was answered."""
        return not self._letting_go

    @property
    def in_flight(self) -> int:
        """Requests being handled now."""
        return self._in_flight

    def begin(self) -> None:
        """Start draining; there is no way back."""
        self._draining = True
        self.let_go()

    def let_go(self) -> None:
        """Keep no connection from now on; requests are handled as before, long ones too."""
        self._letting_go = True

    def entered(self) -> None:
        """One request more."""
        self._in_flight += 1
        self._idle.clear()

    def left(self) -> None:
        """One request less."""
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    async def wait_idle(self, timeout_s: float) -> bool:
        """Whether every request was handled within ``timeout_s`` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
