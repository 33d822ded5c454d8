"""Offers that alerts pause and resume: each a revision of the marketplace, made with its note."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import asyncpg

from storage.catalogue import About, add_revision, lock
from storage.catalogue_items import CatalogueItem, Changes, Document
from storage.database import Connection, Database
from storage.queries import query

_TO_SWITCH = query("alerts_to_switch")
_LOCK_STATE = query("lock_alert_state")
_LOCK_ALERT = query("lock_alert_to_switch")
_OFFER = query("alert_offer")
_BEFORE = query("alert_offer_before")
_KEPT_PAUSED = query("alert_offer_kept_paused")
_SWITCHED = query("alert_switched")
_STATE_PAUSED = query("alert_state_paused")

ORIGIN: Final = "alert"
AT_ONCE: Final = 100

_WANTED: Final = "wanted"
_OFFER_PREFIX: Final = "offer:"
_ENABLED: Final = "enabled"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Offer:
    item: CatalogueItem
    since: int


async def switch_offers(database: Database) -> int:
    """Pause and resume what alerts ask for, and return how many offers that changed.

    Each in a transaction with its revision, so that nothing is done twice or half. An offer that
    others have paused is left so, and one that others have resumed since, too; what else they have
    edited stays. Raises StorageUnavailableError.
    """
    async with database.connection() as connection:
        rows = await connection.fetch(_TO_SWITCH, AT_ONCE)
    return sum([await _switch(database, row["alert_id"]) for row in rows])


async def _switch(database: Database, alert_id: str) -> bool:
    async with database.alone() as connection:
        newest = await lock(connection)
        await connection.execute(_LOCK_STATE, alert_id)
        alert = await connection.fetchrow(_LOCK_ALERT, alert_id)
        if alert is None:
            return False
        offer = await _offer(connection, alert["subject"].removeprefix(_OFFER_PREFIX))
        pausing = alert["pause"] == _WANTED
        document = _paused(offer) if pausing else await _resumed(connection, offer, alert)
        if offer is None or document is None:
            await connection.execute(_SWITCHED, alert_id, "left", None)
            return False
        item = replace(offer.item, document=document)
        await add_revision(connection, newest + 1, Changes((item.key,), (item,)), _about(alert_id))
        done = "paused" if pausing else "resumed"
        await connection.execute(_SWITCHED, alert_id, done, newest + 1 if pausing else None)
        if pausing:
            await connection.execute(_STATE_PAUSED, alert_id)
    logger.warning("Offer %s is %s", item.id, done, extra={"action": "alert_switched_offer"})
    return True


def _about(alert_id: str) -> About:
    return About(ORIGIN, actor=ORIGIN, note=f"alert {alert_id}")


async def _offer(connection: Connection, offer: str) -> _Offer | None:
    row = await connection.fetchrow(_OFFER, offer)
    if row is None:
        return None
    kind, identifier, parent, position, text, since = row
    return _Offer(CatalogueItem(kind, identifier, _read(text), parent, position), since)


def _paused(offer: _Offer | None) -> Document | None:
    """The offer's document, paused; None where it is so already."""
    if offer is None or offer.item.document.get(_ENABLED) is False:
        return None
    return {**offer.item.document, _ENABLED: False}


async def _resumed(
    connection: Connection, offer: _Offer | None, alert: asyncpg.Record
) -> Document | None:
    """The offer's document with ``enabled`` as before the pause; None where others set it since."""
    paused_at = alert["pause_revision"]
    if offer is None or not await connection.fetchval(_KEPT_PAUSED, offer.item.id, paused_at):
        return None
    text = await connection.fetchval(_BEFORE, offer.item.id, paused_at)
    if text is None:
        return None
    before = _read(text)
    kept = {key: each for key, each in offer.item.document.items() if key != _ENABLED}
    return {**kept, _ENABLED: before[_ENABLED]} if _ENABLED in before else kept


def _read(text: str) -> Mapping[str, object]:
    document: Mapping[str, object] = json.loads(text)
    return document
