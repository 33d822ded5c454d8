"""Whole lives of calls in a process that is killed at a given step: see ``executioner``."""

import sys
from datetime import datetime, timedelta
from decimal import Decimal

from auction.domain.bidding import PostReply
from auction.domain.ids import CallId
from auction.domain.next_attempt import FailReason
from auction.domain.postbacks import ReportStatus
from auction.domain.switch_events import EventType
from auction.ports import PostOrder
from storage.database import Database
from storage.report_folding import ReportFolding
from tests.chaos.executioner import Executioner, play_as_told
from tests.ledger_steps import LEASE_OVER, rewind
from tests.unit.engine.harness import ScriptedGateway
from tests.whole_lives import World, a_busy_catalogue, a_live_call

ROUTED_LONG_AGO = (
    "update reservations set routed_at = now() - interval '1 hour' where call_id = any($1)"
)


class WatchedGateway(ScriptedGateway):
    """A buyer that accepts whatever is posted, however often."""

    def __init__(self, executioner: Executioner) -> None:
        super().__init__()
        self._executioner = executioner

    async def post(self, order: PostOrder) -> PostReply:
        reply = await super().post(order)
        self._executioner.step()
        return reply


async def live(dsn: str, began: datetime, executioner: Executioner) -> None:
    """Every kind of life, each step as a switch or a buyer repeats it until it is answered."""
    database = await Database.connect(dsn, max_size=3)
    executioner.watch_the_database()
    world = World(database, a_busy_catalogue(), WatchedGateway(executioner))
    calls = {
        name: a_live_call(name, caller=number, received_at=began)
        for number, name in enumerate(("sold", "passed-on", "reported", "swept", "missing"))
    }
    for call in calls.values():
        await world.decide(call)

    sold, passed_on, reported = calls["sold"], calls["passed-on"], calls["reported"]
    await world.report(sold, EventType.ANSWERED, 5, event_id="s1")
    await world.report(sold, EventType.ENDED, 105, event_id="s2", connected_s=Decimal("95.5"))
    await world.fail(sold.call_id, 1, FailReason.SHORT_CALL)

    await world.report(passed_on, EventType.ANSWERED, 4, event_id="p1")
    await world.fail(passed_on.call_id, 1, FailReason.SHORT_CALL)
    await world.fail(passed_on.call_id, 2)
    await world.fail(passed_on.call_id, 3)
    await world.fail(passed_on.call_id, 4)
    await world.report(passed_on, EventType.ENDED, 60, event_id="p2", attempt=1)

    await world.fail(reported.call_id, 1)
    await world.report(reported, EventType.ENDED, 99, event_id="r1", connected_s=Decimal(92))
    await world.post_back(reported.call_id, "crm-1", amount=Decimal("25.00"))
    await world.post_back(reported.call_id, "crm-2", amount=Decimal("11.11"))
    await world.post_back(reported.call_id, "crm-3", status=ReportStatus.WITHDRAWN)
    await world.post_back(reported.call_id, "crm-4", amount=Decimal("12.34"))

    await rewind(database, LEASE_OVER, [CallId("swept")])
    await world.sweeper.sweep()
    await ReportFolding(database, 20).fold()
    await rewind(database, ROUTED_LONG_AGO, [CallId("missing")])
    others = {CallId(name) for name in calls if name != "missing"}
    await world.switches.compare("switch-1", began + timedelta(days=1), others)
    await ReportFolding(database, 20).fold()
    await database.close()


def main() -> None:
    dsn, began = sys.argv[1], datetime.fromisoformat(sys.argv[2])
    play_as_told(lambda executioner, _: live(dsn, began, executioner))


if __name__ == "__main__":
    main()
