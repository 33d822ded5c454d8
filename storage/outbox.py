"""What subscribers are to be told, written in the transaction of the fact."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from auction.domain.ids import BuyerId, CallId, CampaignId
from auction.domain.terms import Subscriber, WebhookEvent
from storage.books import columns
from storage.database import Connection
from storage.queries import query

_WRITE = query("write_deliveries")

_COLUMNS: Final = 7

Subscribers = Callable[[CampaignId | None, BuyerId | None], Sequence[Subscriber]]
"""The webhooks of a campaign and of a buyer, by the marketplace in force."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to a call. ``buyer`` None: no business of any buyer.

    ``data`` is what the event tells beside the call's record.
    """

    event: WebhookEvent
    call_id: CallId
    at: datetime
    campaign: CampaignId | None
    buyer: BuyerId | None
    data: Mapping[str, str | int | None] = field(default_factory=dict)


class Outbox:
    """Turns facts into deliveries, one for each webhook that asks for the event."""

    def __init__(self, subscribers: Subscribers) -> None:
        self._subscribers = subscribers

    def wanted(
        self, campaign: CampaignId | None, buyer: BuyerId | None, *events: WebhookEvent
    ) -> bool:
        """Whether anyone is to be told of one of these events."""
        subscribers = self._subscribers(campaign, buyer)
        return bool(subscribers) and any(
            not subscriber.events.isdisjoint(events) for subscriber in subscribers
        )

    async def write(self, connection: Connection, facts: Sequence[Fact]) -> None:
        """Store the deliveries of facts with the call's record as this transaction has left it."""
        rows = [row for fact in facts for row in self._deliveries(fact)]
        if rows:
            await connection.execute(_WRITE, *columns(rows, _COLUMNS))

    def _deliveries(self, fact: Fact) -> Iterator[Sequence[Any]]:
        for subscriber in self._subscribers(fact.campaign, fact.buyer):
            if fact.event in subscriber.events:
                yield (
                    secrets.token_hex(16),
                    subscriber.owner,
                    subscriber.webhook,
                    fact.event.value,
                    fact.call_id,
                    fact.at,
                    orjson.dumps(dict(fact.data)).decode(),
                )


SILENT = Outbox(lambda _campaign, _buyer: ())
"""Nobody is told of anything."""
