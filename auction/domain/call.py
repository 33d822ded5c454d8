"""A call as the switch reported it, normalised."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from auction.domain.ids import CallId, CampaignId, SourceId
from auction.domain.value import value

FieldValue = str | int | float | bool
"""What a call's field may hold; null and the empty string count as missing and are dropped."""


@value(frozen=True, slots=True)
class Caller:
    """Who calls. ``number`` is E.164, None when withheld; the rest is what the number tells.

    ``state`` has two letters and ``area_code`` three digits (North American numbers only),
    ``country`` is ISO 3166 alpha-2.
    """

    number: str | None = None
    area_code: str | None = None
    state: str | None = None
    country: str | None = None

    @property
    def withheld(self) -> bool:
        """True when the switch named no usable number."""
        return self.number is None


@value(frozen=True, slots=True)
class Call:
    """One request for a route.

    ``received_at`` is UTC; ``timeout_ms`` is how long the switch waits, None when it did not say.
    ``campaign`` is the campaign that the request names, None when only the dialled number tells.
    ``quality`` is a score from 0 to 100, None where its campaign scores none.
    """

    call_id: CallId
    campaign: CampaignId | None
    dialed_number: str | None
    caller: Caller
    source: SourceId | None
    fields: Mapping[str, FieldValue]
    received_at: datetime
    timeout_ms: int | None = None
    test: bool = False
    switch: str | None = None
    quality: int | None = None


Amount = Decimal
"""Money: a Decimal with at most four decimals (``auction.domain.money``)."""
