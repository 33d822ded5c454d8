"""A call as a webhook's owner may see it."""

from collections.abc import Callable, Mapping
from typing import Any

from auction.domain.call import FieldValue
from auction.domain.call_record import CallRecord
from auction.domain.ids import CallId
from auction.web.record_view import View, render_cdr
from auction.web.services import Records, Revisions
from config.alerts import ALERT_OWNER

AsItWas = Callable[[CallRecord, Mapping[str, Any]], CallRecord]
"""A record of now with its changing part as it was told."""

OffersOf = Callable[[str, Mapping[str, Any]], frozenset[str]]
"""The offers of a buyer among the attempts as they were told."""

_NONE: frozenset[str] = frozenset()


class WebhookView:
    """Shows calls to webhooks: a campaign's sees all of the money, a buyer's its own side only.

    Nobody's sees a caller's whole number, and a buyer's no private field.
    """

    def __init__(
        self, records: Records, revisions: Revisions, as_it_was: AsItWas, offers_of: OffersOf
    ) -> None:
        self._records = records
        self._revisions = revisions
        self._as_it_was = as_it_was
        self._offers_of = offers_of

    async def show(
        self, call_id: CallId, facts: Mapping[str, object], owner: str
    ) -> tuple[Mapping[str, object], Mapping[str, FieldValue]] | None:
        """The CDR and the fields that ``campaign:<id>`` or ``buyer:<id>`` may see.

        Nothing of a call for ``alert:<id>``.

        None when nothing is kept of the call. Raises StorageUnavailableError.
        """
        if owner.startswith(ALERT_OWNER):
            # An alert is of no call.
            return {}, {}
        found = await self._records.get_call(call_id)
        if found is None:
            return None
        record = self._as_it_was(found, facts)
        kind, _, name = owner.partition(":")
        buyer = name if kind == "buyer" else None
        own = _NONE if buyer is None else self._offers_of(buyer, facts)
        cdr = render_cdr(record, View(buyer, source=None, unmasked=False), own)
        fields = record.call.fields
        return cdr, fields if buyer is None else await self._without_private(fields, record)

    async def _without_private(
        self, fields: Mapping[str, FieldValue], record: CallRecord
    ) -> Mapping[str, FieldValue]:
        catalogue = await self._revisions.catalogue_at(record.revision)
        if catalogue is None or record.campaign is None:
            return {}
        campaign = catalogue.campaigns.get(record.campaign)
        if campaign is None:
            return {}
        return {name: fields[name] for name in fields if name not in campaign.private_fields}
