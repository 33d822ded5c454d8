"""What calls have earned, for tests: further attempts, the ledger of money, and who is told."""

from collections.abc import Sequence
from decimal import Decimal

from auction.domain.call import Call
from auction.domain.finishing import Finished
from auction.domain.next_attempt import FailReason, NextRequest, Rerouting
from auction.domain.plan import Candidate
from auction.domain.reserving import Reserved
from auction.domain.terms import PayoutRule, Trigger
from storage.database import Connection, Database
from storage.ledger import PostgresLedger
from storage.outbox import Fact, Outbox
from tests.ledger_steps import a_finish, a_request


def pays(
    amount: str, trigger: Trigger = Trigger.ANSWERED, connected_s: int = 0, days: int | None = None
) -> PayoutRule:
    """A payout of a fixed amount to every source."""
    return PayoutRule(None, trigger, connected_s, amount=Decimal(amount), dedupe_days=days)


def pays_share(percent: str, trigger: Trigger = Trigger.ANSWERED) -> PayoutRule:
    """A payout of so much of the revenue to every source."""
    return PayoutRule(None, trigger, percent=Decimal(percent))


async def give_up(ledger: PostgresLedger, call: Call, attempt: int = 1) -> Rerouting:
    """The attempt is busy: the call is being decided for the next one."""
    request = NextRequest(call.call_id, attempt, FailReason.BUSY, b"next", 10_000)
    rerouting = await ledger.open_next(request)
    assert isinstance(rerouting, Rerouting)
    return rerouting


async def fail_over(ledger: PostgresLedger, call: Call, candidate: Candidate) -> None:
    """The first attempt is busy and the call goes to this candidate."""
    rerouting = await give_up(ledger, call)
    number, epoch = rerouting.attempt, rerouting.epoch
    request = a_request(call, candidate, epoch=epoch, attempt=number)
    assert isinstance(await ledger.reserve(request), Reserved)
    finish = a_finish(call, candidate, epoch=epoch, attempt=number)
    assert await ledger.finish(finish) == Finished()


async def sides(database: Database, call_id: str = "call-1") -> dict[str, tuple[int, str, Decimal]]:
    """What each side of a call comes to: attempt, trigger and amount."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select side, attempt, trigger, amount from conversions where call_id = $1", call_id
        )
    return {row["side"]: (row["attempt"], row["trigger"], row["amount"]) for row in rows}


async def entries(database: Database) -> list[tuple[str, str, Decimal, str]]:
    """The ledger of money in its order: side, kind, change and who said so."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select side, kind, change, actor from conversion_entries order by id"
        )
    return [tuple(row) for row in rows]


async def assert_tied_out(database: Database) -> None:
    """Each side of each call comes to the sum of its entries."""
    async with database.connection() as connection:
        assert await _differences(connection) == []


async def _differences(connection: Connection) -> Sequence[object]:
    rows = await connection.fetch(
        """
        select call_id, side, c.amount, e.change
        from conversions as c
        full join (
            select call_id, side, sum(change) as change
            from conversion_entries group by call_id, side
        ) as e using (call_id, side)
        where c.amount is distinct from e.change
        """
    )
    return [tuple(row) for row in rows]


class Listening(Outbox):
    """Keeps the facts of its transactions."""

    def __init__(self) -> None:
        super().__init__(lambda _campaign, _buyer: ())
        self.facts: list[Fact] = []

    async def write(self, connection: Connection, facts: Sequence[Fact]) -> None:
        """Remember them."""
        assert connection.is_in_transaction()
        self.facts += facts

    @property
    def told(self) -> list[str]:
        """The events in their order."""
        return [fact.event.value for fact in self.facts]
