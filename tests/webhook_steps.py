"""Calls that subscribers are told of, and the outbox that holds what they are to be told."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from auction.domain.call import Call
from auction.domain.ids import BuyerId, CallId, CampaignId
from auction.domain.terms import Subscriber, WebhookEvent
from storage.database import Connection, Database
from storage.outbox import Fact, Outbox
from tests.builders import CAMPAIGN, NOON
from tests.ledger_steps import VAULT, a_recent_call

OWNER = f"campaign:{CAMPAIGN}"
ACME = "buyer:acme"

_CALL = """
    insert into calls (
        call_id, fingerprint, state, decide_by, received_at, revision, test, campaign,
        dialed_number, source, sealed, decided_at, routed_by, offer, buyer, price, currency
    )
    values ($1, '', 'routed', now(), $2, 7, false, $3, $4, $5, $6, $2, 'auction', 'acme-auto',
        'acme', 52, 'USD')
"""
_ATTEMPT = """
    insert into reservations (
        call_id, attempt, state, position, campaign, offer, buyer, routed_by, price, reason,
        terms, holding, lease_until
    )
    values ($1, $2, $3, 0, $4, $5, $6, 'auction', $7, $8, '{}', '[]', now())
"""
_CONVERSION = """
    insert into conversions (call_id, side, attempt, amount, trigger, at)
    values ($1, $2, $3, $4, 'answered', now())
"""


def subscriber(owner: str = OWNER, webhook: str = "w", *events: WebhookEvent) -> Subscriber:
    """A webhook that asks for these events, by default for all."""
    return Subscriber(owner, webhook, frozenset(events or WebhookEvent))


def an_outbox(*subscribers: Subscriber) -> Outbox:
    """An outbox for a campaign's and for buyers' webhooks, by default one of the campaign."""
    chosen = subscribers or (subscriber(),)

    def of(campaign: CampaignId | None, buyer: BuyerId | None) -> Sequence[Subscriber]:
        owners = {f"campaign:{campaign}", f"buyer:{buyer}"}
        return [each for each in chosen if each.owner in owners]

    return Outbox(of)


def a_fact(call_id: str = "call-1", **changes: Any) -> Fact:
    """The call was routed to acme, at noon."""
    values: dict[str, Any] = {
        "event": WebhookEvent.CALL_ROUTED,
        "at": NOON,
        "campaign": CampaignId(CAMPAIGN),
        "buyer": BuyerId("acme"),
        **changes,
    }
    return Fact(call_id=CallId(call_id), **values)


async def store_call(connection: Connection, call_id: str = "call-1", **changes: Any) -> Call:
    """A call that was routed to acme for 52.00."""
    call = a_recent_call(call_id, **changes)
    numbers = (call.dialed_number, call.source, VAULT.seal(call))
    await connection.execute(_CALL, call_id, call.received_at, CAMPAIGN, *numbers)
    await store_attempt(connection, call_id)
    return call


async def store_attempt(
    connection: Connection,
    call_id: str = "call-1",
    attempt: int = 1,
    *,
    state: str = "routed",
    offer: str = "acme-auto",
    buyer: str = "acme",
    price: str = "52",
    reason: str | None = None,
) -> None:
    """A route given for a call."""
    await connection.execute(
        _ATTEMPT, call_id, attempt, state, CAMPAIGN, offer, buyer, Decimal(price), reason
    )


async def store_conversion(
    connection: Connection, side: str, amount: str, *, call_id: str = "call-1", attempt: int = 1
) -> None:
    """Money of a side of a call."""
    await connection.execute(_CONVERSION, call_id, side, attempt, Decimal(amount))


async def tell(
    database: Database, *call_ids: str, outbox: Outbox | None = None, **changes: Any
) -> None:
    """Calls and, in the same transaction, that they were routed."""
    async with database.transaction() as connection:
        for call_id in call_ids:
            await store_call(connection, call_id)
        facts = [a_fact(call_id, **changes) for call_id in call_ids]
        await (outbox or an_outbox()).write(connection, facts)


async def rows(database: Database, *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of every delivery, in order of call and webhook."""
    async with database.connection() as connection:
        found = await connection.fetch(
            f"select {', '.join(columns)} from webhook_deliveries order by call_id, owner, webhook"
        )
    return [tuple(row) for row in found]


async def states(database: Database) -> list[str]:
    """What became of every delivery."""
    return [state for (state,) in await rows(database, "state")]


async def age(database: Database, seconds: float, *columns: str) -> None:
    """Let time pass: move these times of every delivery (by default all) into the past."""
    chosen: Iterable[str] = columns or ("due_at", "give_up_at", "created_at", "settled_at")
    moved = ", ".join(f"{name} = {name} - make_interval(secs => $1)" for name in chosen)
    async with database.connection() as connection:
        await connection.execute(f"update webhook_deliveries set {moved}", seconds)


async def server_time(database: Database) -> datetime:
    """Now, as the database sees it."""
    async with database.connection() as connection:
        now: datetime = await connection.fetchval("select now()")
    return now
