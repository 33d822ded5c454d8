"""What buyers claim of their calls: returns, written with the credit, and complaints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from auction.domain.call_record import CallRecord
from auction.domain.ids import BuyerId, CallId, CampaignId, OfferId, SourceId
from auction.domain.report_figures import FigureClass
from auction.domain.report_question import By, Question
from auction.domain.returns import Claim, ClaimKind
from storage.database import Connection, Database
from storage.holds import Hold
from storage.progress import CallRow
from storage.queries import query
from storage.report_figures import Connections, ask

_WRITE: Final = query("write_claim")
_KNOWN: Final = query("known_claim")
_READ: Final = query("read_claims")
_SUM: Final = query("sum_claims")
_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim is about. ``received_at``: when the call came in."""

    call_id: CallId
    buyer: BuyerId
    event_id: str
    campaign: CampaignId | None
    offer: OfferId
    source: SourceId | None
    received_at: datetime
    credited: Decimal = _NOTHING
    withheld: Decimal = _NOTHING

    @classmethod
    def of_hold(
        cls, hold: Hold, call: CallRow, event_id: str, credited: Decimal, withheld: Decimal
    ) -> "Claimed":
        """A claim on an attempt, and what it has brought down."""
        return cls(
            call.call_id,
            hold.buyer,
            event_id,
            call.campaign,
            hold.offer,
            call.source,
            call.progress.started_at,
            credited,
            withheld,
        )

    @classmethod
    def of_record(cls, record: CallRecord, event_id: str) -> "Claimed":
        """A claim on a call, which must have been routed, that moves no money."""
        assert record.buyer is not None, "what was not routed was not sold"
        assert record.offer is not None, "what was not routed was not sold"
        call = record.call
        return cls(
            call.call_id,
            record.buyer,
            event_id,
            record.campaign,
            record.offer,
            call.source,
            call.received_at,
        )


@dataclass(frozen=True, slots=True)
class ListedClaim:
    """A claim as it is kept."""

    event_id: str
    buyer: str
    offer: str
    reason: str
    note: str | None
    credited: Decimal
    withheld: Decimal
    made_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimRates:
    """How many of the calls of an offer or a source were claimed.

    ``routed`` counts routes given, ``converted`` conversions with those that were returned.
    """

    name: str
    routed: int
    converted: int
    returned: int
    complaints: int
    credited: Decimal
    withheld: Decimal


async def write_claim(
    connection: Connection, claimed: Claimed, claim: Claim, fingerprint: bytes
) -> bool:
    """Store a claim; False: one of its event was there before."""
    written = await connection.fetchval(
        _WRITE,
        claimed.call_id,
        claimed.buyer,
        claim.kind.value,
        claimed.event_id,
        fingerprint,
        claim.reason,
        claim.note,
        claimed.campaign,
        claimed.offer,
        claimed.source,
        claimed.received_at,
        claimed.credited,
        claimed.withheld,
    )
    return written is True


class Claims:
    """Reads claims, and writes those that move no money. All raise StorageUnavailableError.

    ``readers`` are the connections that are there for reading.
    """

    def __init__(self, database: Database, readers: Connections) -> None:
        self._database = database
        self._readers = readers

    async def complain(
        self, record: CallRecord, event_id: str, claim: Claim, fingerprint: bytes
    ) -> bool | None:
        """Store a complaint about a call that was routed.

        False: a repeat, nothing was written. None: another of this event was there before.
        """
        claimed = Claimed.of_record(record, event_id)
        async with self._database.transaction() as connection:
            if await write_claim(connection, claimed, claim, fingerprint):
                return True
            named = claimed.call_id, claimed.buyer, claim.kind.value, claimed.event_id
            same = await connection.fetchval(_KNOWN, *named) == fingerprint
        return False if same else None

    async def of_call(
        self, call_id: CallId, kind: ClaimKind, buyer: str | None
    ) -> Sequence[ListedClaim]:
        """The claims of a call in the order they were made; ``buyer`` None: of all buyers."""
        async with self._readers.connection() as connection:
            rows = await connection.fetch(_READ, call_id, kind.value, buyer)
        return [ListedClaim(**row) for row in rows]

    async def rates(
        self,
        since: datetime,
        until: datetime,
        by: str,
        *,
        buyer: str | None = None,
        source: str | None = None,
    ) -> Sequence[ClaimRates]:
        """The claims on calls that came in in this time, by ``offer`` or ``source``.

        Of one ``buyer`` or one ``source`` where that is given.
        """
        async with self._readers.connection() as connection:
            rows = await connection.fetch(_SUM, since, until, by, buyer, source)
        claims = {row["name"]: row for row in rows if row["name"]}
        question = Question(
            since, until, [since], By(by), buyer=buyer, source=source, detailed=False
        )
        sold = await ask(self._readers, question)
        figures = {
            each.place.name: each.figures
            for each in sold
            if each.figure_class is FigureClass.SOLD and each.place.name
        }
        found: list[ClaimRates] = []
        for name in sorted(claims.keys() | figures.keys()):
            row, sums = claims.get(name), figures.get(name)
            returned = 0 if row is None else row["returned"]
            found.append(
                ClaimRates(
                    name,
                    0 if sums is None else sums.won,
                    returned + (0 if sums is None else sums.converted),
                    returned,
                    0 if row is None else row["complaints"],
                    _NOTHING if row is None else row["credited"],
                    _NOTHING if row is None else row["withheld"],
                )
            )
        return found
