"""What subscribers are to be told, written in the transaction of the fact."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from auction.domain.ids import BuyerId, CallId, CampaignId
from auction.domain.terms import Subscriber, WebhookEvent
from storage.database import Connection

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
        return any(
            not subscriber.events.isdisjoint(events)
            for subscriber in self._subscribers(campaign, buyer)
        )

    async def write(self, connection: Connection, facts: Sequence[Fact]) -> None:
        """Store the deliveries of facts with the call's record as this transaction has left it."""


SILENT = Outbox(lambda _campaign, _buyer: ())
"""Nobody is told of anything."""
