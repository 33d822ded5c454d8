"""The handlers of ``/v1/calls/{call_id}/returns`` and ``…/complaints``, and of their rates."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.call_record import CallRecord
from auction.domain.ids import BuyerId, CallId
from auction.domain.money import render
from auction.domain.postbacks import (
    NamedBy,
    Postback,
    PostbackResult,
    Refused,
    ReportResult,
    ReportStatus,
)
from auction.domain.returns import Claim, ClaimKind, NotAllowed, why_not
from auction.domain.terms import OfferTerms
from auction.web import problems
from auction.web.authentication import MAY_VIEW, Scope, granted
from auction.web.bodies import MAX_BODY_BYTES, expecting, fingerprint, read_object
from auction.web.claim_requests import ClaimRequest, read_claim, read_period
from auction.web.postbacks import MISTAKES, Postbacks
from auction.web.problems import CallerMistakeError, Fault, ProblemKind, invalid
from auction.web.services import ApiServices, Grant

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"}
_MAY_CLAIM: Final = frozenset({str(Scope.POSTBACK), str(Scope.ADMIN)})
_NOT_ALLOWED: Final = ProblemKind(409, "claim-not-allowed", "The offer's terms do not allow this")
_TOO_LATE: Final = ProblemKind(409, "claim-too-late", "The time for this is over")
_NOT_SOLD: Final = "No call of this name was sold to this buyer."


class Complaints(Protocol):
    """Where complaints are kept and claims are read. All raise StorageUnavailableError."""

    async def complain(
        self, record: CallRecord, event_id: str, claim: Claim, fingerprint: bytes
    ) -> bool | None:
        """Store a complaint; False: a repeat, None: another of this event was there before."""

    async def of_call(
        self, call_id: CallId, kind: ClaimKind, buyer: str | None
    ) -> Sequence["Listed"]:
        """The claims of a call in the order they were made; ``buyer`` None: of all buyers."""

    async def rates(
        self,
        since: datetime,
        until: datetime,
        by: str,
        *,
        buyer: str | None = None,
        source: str | None = None,
    ) -> Sequence["Rates"]:
        """The claims on calls that came in in this time, by ``offer`` or ``source``.

        Of one ``buyer`` or one ``source`` where that is given.
        """


class Listed(Protocol):
    """A claim as it is kept."""

    @property
    def event_id(self) -> str:
        """By which a repeat is known."""

    @property
    def buyer(self) -> str:
        """Who claims."""

    @property
    def offer(self) -> str:
        """Under which offer the call was sold."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def note(self) -> str | None:
        """What else was said."""

    @property
    def credited(self) -> Decimal:
        """What the buyer got back."""

    @property
    def withheld(self) -> Decimal:
        """What the source got less."""

    @property
    def made_at(self) -> datetime:
        """When."""


class Rates(Protocol):
    """Claims on the calls of an offer or a source."""

    @property
    def name(self) -> str:
        """The offer or source."""

    @property
    def routed(self) -> int:
        """Routes given."""

    @property
    def converted(self) -> int:
        """Conversions, with those that were returned."""

    @property
    def returned(self) -> int:
        """Returns."""

    @property
    def complaints(self) -> int:
        """Complaints."""

    @property
    def credited(self) -> Decimal:
        """What buyers got back."""

    @property
    def withheld(self) -> Decimal:
        """What sources got less."""


class ClaimHandlers:
    """What buyers claim of the calls that were sold to them."""

    def __init__(self, services: ApiServices, postbacks: Postbacks, complaints: Complaints) -> None:
        self._services = services
        self._postbacks = postbacks
        self._complaints = complaints

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        call, expect = "/v1/calls/{call_id:[^/]+}", expecting(MAX_BODY_BYTES)
        router.add_post(f"{call}/returns", self.give_back, expect_handler=expect)
        router.add_post(f"{call}/complaints", self.complain, expect_handler=expect)
        router.add_get(f"{call}/returns", self.returns)
        router.add_get(f"{call}/complaints", self.complaints)
        router.add_get("/v1/returns", self.rates)

    async def give_back(self, request: web.Request) -> web.Response:
        """The buyer gives a call back: its conversion is withdrawn, and the payout where agreed."""
        asked, record, claim = await self._allowed(request, ClaimKind.RETURN)
        report = Postback(
            named_by=NamedBy.CALL_ID,
            name=record.call.call_id,
            buyer=None if record.buyer is None else BuyerId(record.buyer),
            status=ReportStatus.WITHDRAWN,
            fingerprint=fingerprint(asked.content, self._services.fingerprint),
            event_id=asked.event_id or ClaimKind.RETURN.value,
            note=f"returned: {claim.reason}",
            claim=claim,
        )
        return _returned(await self._postbacks.report(report))

    async def complain(self, request: web.Request) -> web.Response:
        """The buyer complains about a call; no money moves."""
        asked, record, claim = await self._allowed(request, ClaimKind.COMPLAINT)
        event_id = asked.event_id or ClaimKind.COMPLAINT.value
        known_by = fingerprint(asked.content, self._services.fingerprint)
        written = await self._complaints.complain(record, event_id, claim, known_by)
        if written is None:
            raise CallerMistakeError(*MISTAKES[Refused.OTHER_CONTENT])
        result = "booked" if written else ReportResult.REPEATED.value
        told = {"call_id": record.call.call_id, "event_id": event_id, "result": result}
        return _json(told)

    async def returns(self, request: web.Request) -> web.Response:
        """The returns of a call."""
        return await self._list(request, ClaimKind.RETURN)

    async def complaints(self, request: web.Request) -> web.Response:
        """The complaints about a call."""
        return await self._list(request, ClaimKind.COMPLAINT)

    async def rates(self, request: web.Request) -> web.Response:
        """How many calls were claimed, per offer or source; a bound token is told of its own."""
        grant = await granted(request, self._services.tokens, MAY_VIEW)
        period = read_period(request.query)
        rows = await self._complaints.rates(
            period.since, period.until, period.by, buyer=grant.buyer, source=grant.source
        )
        return _json({"by": period.by, "rows": [_rates(row, grant) for row in rows]})

    async def _list(self, request: web.Request, kind: ClaimKind) -> web.Response:
        grant = await granted(request, self._services.tokens, _MAY_CLAIM | MAY_VIEW)
        record = await self._sold(request, grant)
        claims = await self._complaints.of_call(record.call.call_id, kind, grant.buyer)
        return _json({f"{kind.value}s": [_listed(each) for each in claims]})

    async def _allowed(
        self, request: web.Request, kind: ClaimKind
    ) -> tuple[ClaimRequest, CallRecord, Claim]:
        """A claim that its offer's terms allow. Raises CallerMistakeError."""
        grant = await granted(request, self._services.tokens, _MAY_CLAIM)
        if grant.buyer is None and Scope.ADMIN not in grant.scopes:
            raise CallerMistakeError(
                problems.FORBIDDEN, "A token of the buyer, or one with scope admin, is needed."
            )
        asked = read_claim(await read_object(request))
        record = await self._sold(request, grant)
        offer = await self._offer(record)
        terms = None if offer is None else offer.returns
        call_at = record.ended_at or record.call.received_at
        refused = why_not(terms, asked.reason, call_at, self._services.clock.now())
        if refused is not None:
            raise _refusal(refused)
        claws_back = terms is not None and terms.claws_back
        return asked, record, Claim(kind, asked.reason, asked.note, claws_back)

    async def _sold(self, request: web.Request, grant: Grant) -> CallRecord:
        """The call, which must be the buyer's own. Raises CallerMistakeError (403, 404)."""
        if grant.source is not None:
            raise CallerMistakeError(
                problems.FORBIDDEN, "A token that is bound to a source can't do this."
            )
        call_id = request.match_info["call_id"]
        usable = len(call_id) <= _LONGEST_NAME and call_id.isprintable()
        record = await self._services.records.get_call(CallId(call_id)) if usable else None
        if record is None or record.buyer is None or grant.buyer not in (None, record.buyer):
            raise CallerMistakeError(problems.NOT_FOUND, _NOT_SOLD)
        return record

    async def _offer(self, record: CallRecord) -> OfferTerms | None:
        """The offer as it was when the call was decided; as it is where that is not kept."""
        catalogue = await self._services.revisions.catalogue_at(record.revision)
        return (
            None
            if catalogue is None or record.offer is None
            else catalogue.offers.get(record.offer)
        )


_LONGEST_NAME: Final = 128


def _refusal(refused: NotAllowed) -> CallerMistakeError:
    if refused is NotAllowed.OTHER_REASON:
        return invalid(Fault("reason", "must be one of the reasons that the offer's terms name"))
    if refused is NotAllowed.TOO_LATE:
        return CallerMistakeError(_TOO_LATE, "The offer's days for this are over.")
    return CallerMistakeError(_NOT_ALLOWED, "The offer has no terms for returns and complaints.")


def _returned(result: PostbackResult) -> web.Response:
    if isinstance(result, Refused):
        raise CallerMistakeError(*MISTAKES[result])
    return _json(
        {
            "call_id": result.call_id,
            "event_id": result.event_id,
            "result": result.result.value,
            "amount": render(result.amount),
            "currency": result.currency,
        }
    )


def _listed(claim: Listed) -> Mapping[str, object]:
    return {
        "event_id": claim.event_id,
        "buyer": claim.buyer,
        "offer": claim.offer,
        "reason": claim.reason,
        "note": claim.note,
        "credited": render(claim.credited),
        "withheld": render(claim.withheld),
        "made_at": claim.made_at,
    }


def _rates(rates: Rates, grant: Grant) -> Mapping[str, object]:
    return {
        "name": rates.name,
        "routed": rates.routed,
        "converted": rates.converted,
        "returned": rates.returned,
        "complaints": rates.complaints,
        "return_rate": _share(rates.returned, rates.converted),
        "complaint_rate": _share(rates.complaints, rates.routed),
        "credited": render(rates.credited) if grant.source is None else None,
        "withheld": render(rates.withheld) if grant.buyer is None else None,
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _json(content: Mapping[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(content), headers=_JSON)
