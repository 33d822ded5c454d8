"""Decisions with consequences, and an outbox that keeps what it is given."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import asyncpg

from auction.domain.call import Call
from auction.domain.finishing import Finish, Finished, FinishResult
from auction.domain.plan import Candidate
from auction.domain.terms import (
    ConversionRule,
    PayoutRule,
    Subscriber,
    Trigger,
    WebhookEvent,
)
from storage.database import Connection, Database
from storage.finishing import Finishing
from storage.outbox import SILENT, Fact, Outbox
from tests.builders import CAMPAIGN
from tests.ledger_steps import (
    a_finish,
    a_ledger,
    a_recent_call,
    reserve,
)

ATTEMPT = ConversionRule(Trigger.ATTEMPT)
PER_CALLER = ConversionRule(Trigger.ATTEMPT, dedupe_days=30)
PAYOUT = PayoutRule(None, Trigger.ATTEMPT, amount=Decimal("8.00"))
PERCENT = PayoutRule(None, Trigger.ATTEMPT, percent=Decimal("33.3333"))
ALL_TOLD = (WebhookEvent.CALL_ROUTED, WebhookEvent.CALL_CONVERTED, WebhookEvent.CAP_REACHED)


class Noticing(Outbox):
    """An outbox of which a webhook asks for some events; it keeps the facts that it is given."""

    def __init__(self, *events: WebhookEvent) -> None:
        webhook = Subscriber(f"campaign:{CAMPAIGN}", "hook", frozenset(events))
        super().__init__(lambda campaign, _buyer: [webhook] if campaign == CAMPAIGN else [])
        self.facts: list[Fact] = []

    async def write(self, connection: Connection, facts: Sequence[Fact]) -> None:
        """Keep the facts, as of a transaction that is about to be committed."""
        self.facts.extend(facts)

    def told(self, event: WebhookEvent) -> list[Mapping[str, str | int | None]]:
        """What was told by such events."""
        return [fact.data for fact in self.facts if fact.event is event]


def ignore(_: object) -> None:
    """A listener that does nothing."""


def a_call_of(name: str = "call-1", **changes: Any) -> Call:
    """A call that names its campaign."""
    return a_recent_call(name, **{"campaign": CAMPAIGN, **changes})


async def finish(
    database: Database, *finishes: Finish, outbox: Outbox = SILENT
) -> Sequence[FinishResult | Exception]:
    """The results of one batch of decisions."""
    return await Finishing(database, ignore, outbox).run(finishes)


async def routed(
    database: Database,
    call: Call,
    candidate: Candidate,
    outbox: Outbox = SILENT,
    **changes: Any,
) -> None:
    """A whole decision for one candidate."""
    await reserve(a_ledger(database), call, candidate)
    results = await finish(database, a_finish(call, candidate, **changes), outbox=outbox)
    assert results == [Finished()]


async def entries(database: Database) -> list[tuple[str, str, int, str, Decimal]]:
    """What the money ledger says, in its order."""
    async with database.connection() as connection:
        rows = await connection.fetch("select * from conversion_entries order by id")
    return [
        (row["call_id"], row["side"], row["attempt"], row["actor"], row["amount"]) for row in rows
    ]


async def hold_of(database: Database, attempt: int = 1) -> asyncpg.Record:
    async with database.connection() as connection:
        row = await connection.fetchrow(
            "select *, now() as now from reservations where attempt = $1", attempt
        )
    assert row is not None
    return row
