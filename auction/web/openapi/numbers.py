"""The operations on pools' numbers, on coverage, and of copying buyers."""

from typing import Final, Literal

from auction.web.coverage import CoverageQuery
from auction.web.management.answers import IN_FORCE_AT
from auction.web.management.duplicating import DuplicateBody
from auction.web.openapi.answers import Answer, Instant
from auction.web.openapi.operation import WITH_BODY, Operation, Operations
from auction.web.pools import LeaseBody


class LeaseAnswer(Answer):
    """A visitor's number; ``fallback``: none could be lent, for this ``reason``."""

    pool: str
    session_id: str
    number: str | None
    fallback: bool
    reason: Literal["pool_exhausted", "pool_cap", "source_cap"] | None
    expires_at: Instant | None
    heartbeat_s: int | None


class CoveredOffer(Answer):
    """One offer: its states, and for each day a digit per hour."""

    offer: str
    states: list[str]
    hours: dict[str, str]


class CoverageAnswer(Answer):
    """The week that begins on this Monday: ``states`` by day, or each of the ``offers``."""

    campaign: str
    time_zone: str
    week: str
    states: dict[str, dict[str, list[dict[str, object]]]] | None = None
    offers: list[CoveredOffer] | None = None


NUMBER_OPERATIONS: Final[Operations] = {
    ("POST", "/v1/pools/{id}/lease"): Operation(
        answers={200: LeaseAnswer}, body=LeaseBody, problems=(*WITH_BODY, 404)
    ),
    ("POST", "/v1/pools/{id}/leases/{session_id}/heartbeat"): Operation(
        answers={200: LeaseAnswer}, problems=(404, 408, 413)
    ),
    ("DELETE", "/v1/pools/{id}/leases/{session_id}"): Operation(
        answers={204: None}, problems=(404,)
    ),
    ("GET", "/v1/campaigns/{id}/coverage"): Operation(
        answers={200: CoverageAnswer}, query=CoverageQuery, problems=(404, 422)
    ),
    ("POST", "/v1/buyers/{id}/duplicate"): Operation(
        answers={201: {"type": "object"}},
        body=DuplicateBody,
        body_required=False,
        problems=(*WITH_BODY, 404, 409),
        answer_headers=("Location", "ETag", IN_FORCE_AT),
    ),
}
