"""``GET /v1/reports/offers/{id}/reasons``: what became of every call of an offer's campaign."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.ids import CampaignId
from auction.domain.offer_reasons import OfferReasons
from auction.domain.terms import OfferTerms
from auction.engine.outcomes import read_quality
from auction.ports import Clock
from auction.web.authentication import MAY_VIEW, granted
from auction.web.in_force import TermsInForce
from auction.web.offer_pages import known_offer
from auction.web.problems import Fault, invalid
from auction.web.report_request import read_reasons_request
from auction.web.services import Revisions, Tokens
from storage.offer_reasons import LookedAt, TracedCall

MOST_CALLS: Final = 50_000
"""So many calls of all campaigns are looked at: some ten seconds on a small machine."""

MOST_REVISIONS: Final = 50
"""By the terms of so many revisions calls are decided again; each of them is loaded."""

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}


class TracedCalls(Protocol):
    """Decided calls with their traces."""

    def read(
        self, campaign: CampaignId, since: datetime, until: datetime
    ) -> AsyncIterator[LookedAt]:
        """Those of a campaign over some time. Raises StorageUnavailableError."""


class OfferReasonHandlers:
    """The breakdown of one offer, counted when it is asked for."""

    def __init__(
        self,
        calls: TracedCalls,
        revisions: Revisions,
        tokens: Tokens,
        clock: Clock,
        terms: TermsInForce,
    ) -> None:
        self._calls = calls
        self._revisions = revisions
        self._tokens = tokens
        self._clock = clock
        self._terms = terms

    def add_to(self, router: web.UrlDispatcher) -> None:
        """The path of the breakdown."""
        router.add_get("/v1/reports/offers/{id:[^/]+}/reasons", self.show)

    async def show(self, request: web.Request) -> web.Response:
        """How many calls of its campaign ended how for the offer."""
        grant = await granted(request, self._tokens, MAY_VIEW)
        offer, catalogue = await known_offer(request, grant, self._terms)
        since, until = read_reasons_request(request.query, self._clock.now(), catalogue.zone)
        counted = await self._count(offer, since, until)
        told = sorted(counted.reasons.items())
        content = {
            "offer": offer.id,
            "campaign": offer.campaign,
            "from": _instant(since),
            "to": _instant(until),
            "calls": counted.calls,
            "eligible": counted.eligible,
            "won": counted.won,
            "untold": counted.untold,
            "reasons": {reason.outcome: count for reason, count in told},
        }
        return web.Response(body=orjson.dumps(content), headers=_JSON)

    async def _count(self, offer: OfferTerms, since: datetime, until: datetime) -> OfferReasons:
        counted, looked_at = OfferReasons(), 0
        known: dict[int, OfferTerms | None] = {}
        async for some in self._calls.read(offer.campaign, since, until):
            looked_at += some.looked_at
            revisions = {each.revision for each in some.calls}
            _check_reach(looked_at, len(revisions | known.keys()))
            for revision in sorted(revisions - known.keys()):
                known[revision] = await self._terms_at(offer, revision)
            for revision, terms in known.items():
                if terms is not None:
                    of_it = [each for each in some.calls if each.revision == revision]
                    await asyncio.to_thread(count, counted, of_it, terms)
        return counted

    async def _terms_at(self, offer: OfferTerms, revision: int) -> OfferTerms | None:
        """The offer by the terms of a revision, None where the campaign did not have it."""
        catalogue = await self._revisions.catalogue_at(revision)
        terms = None if catalogue is None else catalogue.offers.get(offer.id)
        return terms if terms is not None and terms.campaign == offer.campaign else None


def _check_reach(calls: int, revisions: int) -> None:
    """Raises CallerMistakeError: 422 where more is asked for than can be counted at once."""
    for what, reached, most in (
        ("calls", calls, MOST_CALLS),
        ("revisions of the marketplace", revisions, MOST_REVISIONS),
    ):
        if reached > most:
            raise invalid(
                Fault("from", f"reaches over more than {most} {what}: ask for a shorter time")
            )


def count(counted: OfferReasons, calls: Iterable[TracedCall], offer: OfferTerms) -> None:
    """Count calls that were decided by these terms."""
    for each in calls:
        line = _line(each.trace, offer)
        if line is not None:
            counted.add_traced(line)
        elif each.trace is None or each.call is None:
            counted.add_untold()
        else:
            quality = read_quality(each.trace.get("quality"))
            counted.add_refused(each.call, offer, None if quality is None else quality.score)


def _line(trace: dict[str, Any] | None, offer: OfferTerms) -> Any:  # noqa: ANN401 - JSON
    lines = () if trace is None else trace["offers"]
    return next((line for line in lines if line["offer"] == offer.id), None)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
