"""What calls have to tell their subscribers, as facts for the outbox."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from auction.domain.conversions import Entry, EntryKind, Side
from auction.domain.ids import BuyerId, CampaignId
from auction.domain.money import render
from auction.domain.terms import WebhookEvent
from storage.holds import Hold
from storage.outbox import Fact
from storage.progress import CallRow

_EVENTS: Final = {
    EntryKind.BOOKED: WebhookEvent.CALL_CONVERTED,
    EntryKind.AMENDED: WebhookEvent.CONVERSION_AMENDED,
    EntryKind.WITHDRAWN: WebhookEvent.CONVERSION_AMENDED,
}


def call_fact(event: WebhookEvent, call: CallRow, hold: Hold | None, at: datetime) -> Fact:
    """Something that happened to a call: of interest to the buyer of the attempt, if there is one.

    Its data is the attempt.
    """
    attempt = call.progress.attempt if hold is None else hold.attempt
    buyer = None if hold is None else hold.buyer
    return Fact(event, call.call_id, at, call.campaign, buyer, {"attempt": attempt})


def conversion_fact(entry: Entry, campaign: CampaignId | None, buyer: BuyerId) -> Fact:
    """An entry of a call that ``buyer`` took: that a payout is booked is no business of theirs.

    Its data is the attempt, the side, its trigger and what it comes to from now on.
    """
    return Fact(
        _EVENTS[entry.kind],
        entry.call_id,
        entry.at,
        campaign,
        buyer if entry.side is Side.BUYER else None,
        {
            "attempt": entry.attempt,
            "side": entry.side.value,
            "amount": render(entry.amount),
            "trigger": entry.trigger.value,
        },
    )


def conversion_facts(entries: Iterable[Entry], call: CallRow, hold: Hold) -> list[Fact]:
    """The facts of entries that an attempt brought."""
    return [conversion_fact(entry, call.campaign, hold.buyer) for entry in entries]
