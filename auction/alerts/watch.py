"""Looks at all alert rules, one process at a time over all machines, beside calls."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from auction.alerts.figures import read_window
from auction.alerts.judging import Scene, judge
from auction.alerts.rules import RulesInForce
from auction.alerts.windows import Window
from auction.domain.alert_terms import Subject
from auction.domain.report_figures import Figures
from auction.ports import StorageUnavailableError
from storage.alert_pausing import switch_offers
from storage.alerts import AlertTurn, alert_turn
from storage.database import Database
from storage.readings import read_usage_of_all

logger = logging.getLogger(__name__)

EVERY_S: Final = 15.0
"""How often rules are looked at."""

KEEP_S: Final = 3.0
"""How long a reading may take before the server is told that we are still there."""

TURN_S: Final = 2.0
"""How often each process asks whether it is time."""


class AlertWatch:
    """Takes turns with all other processes; ``rules`` tells those in force, None before any."""

    def __init__(
        self,
        database: Database,
        rules: Callable[[], RulesInForce | None],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._database = database
        self._rules = rules
        self._every_s = every_s

    async def run(self, turn_s: float = TURN_S) -> None:
        """Look until cancelled; a database that is away is waited for."""
        while True:
            try:
                await self.look()
            except StorageUnavailableError as error:
                logger.warning("No look at alerts: %s", error, extra={"action": "alerts"})
            except Exception:
                # A watch that ended would never tell anyone anything again.
                logger.exception("A look at alerts failed", extra={"action": "alerts"})
            await asyncio.sleep(turn_s)

    async def look(self) -> bool:
        """Look once, where it is time and nobody else does; whether we did."""
        looked = await self._look_in_turn()
        # Also what another has decided on and was killed before doing.
        await switch_offers(self._database)
        return looked

    async def _look_in_turn(self) -> bool:
        async with alert_turn(self._database, self._every_s) as turn:
            in_force = self._rules()
            # Who has not taken up the newest revision yet would judge by rules that are gone.
            if turn is None or in_force is None or turn.revision != in_force.catalogue.revision:
                return False
            await self._judge(turn, in_force)
            return True

    async def _judge(self, turn: AlertTurn, in_force: RulesInForce) -> None:
        scene = Scene(
            rules=in_force.rules,
            catalogue=in_force.catalogue,
            states=await turn.states(),
            usage={},
            now=turn.now,
            new_id=lambda: secrets.token_hex(16),
        )
        read = {window: await self.read(turn, window) for window in scene.windows()}
        # Only now: who acknowledges one must not wait for all that reading.
        scene = replace(scene, states=await turn.states(final=True))
        if scene.needs_usage():
            scene = replace(scene, usage=await read_usage_of_all(turn.connection))
        # Thousands of offers take a while; calls go on being decided meanwhile.
        await turn.save(await asyncio.to_thread(judge, scene, read))

    async def read(self, turn: AlertTurn, window: Window) -> Mapping[Subject, Figures]:
        """The figures of a window, however long they take; the turn stays ours meanwhile."""
        reading = asyncio.create_task(read_window(self._database, window))
        try:
            while not (await asyncio.wait({reading}, timeout=KEEP_S))[0]:
                await turn.keep()
            return reading.result()
        finally:
            reading.cancel()
