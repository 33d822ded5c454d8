"""``GET /v1/offers/{id}/usage`` and ``/summary``: how an offer stands right now."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.call_list import CallFilter
from auction.domain.cap_readings import (
    CapReading,
    ConcurrencyReading,
    Level,
    cap_readings,
    concurrency_readings,
)
from auction.domain.ids import BuyerId, OfferId, OwnerId
from auction.domain.money import from_units, render
from auction.domain.offer_page import OfferTotals
from auction.domain.terms import Catalogue, Destination, Measure, OfferTerms, Period
from auction.domain.usage import Usage
from auction.domain.windows import window_starts
from auction.ports import Clock
from auction.web import problems
from auction.web.authentication import MAY_VIEW, granted
from auction.web.call_list import CallLists
from auction.web.in_force import TermsInForce
from auction.web.paging import known_only
from auction.web.problems import CallerMistakeError
from auction.web.record_view import View, render_listed
from auction.web.services import Grant, Tokens

RECENT_CALLS: Final = 20

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}
_DIGITS: Final = 4


class OfferPages(Protocol):
    """What is kept of an offer's usage and totals."""

    async def usage(self, owners: Iterable[OwnerId]) -> Mapping[OwnerId, Usage]:
        """The usage of these owners now. Raises StorageUnavailableError."""

    async def totals(self, offer: OfferId, month: datetime) -> OfferTotals:
        """What an offer has come to; ``month``: when the current month began."""


class OfferPageHandlers:
    """The pages of offers."""

    def __init__(
        self,
        pages: OfferPages,
        lists: CallLists,
        tokens: Tokens,
        clock: Clock,
        terms: TermsInForce,
    ) -> None:
        self._pages = pages
        self._lists = lists
        self._tokens = tokens
        self._clock = clock
        self._terms = terms

    def add_to(self, router: web.UrlDispatcher) -> None:
        """The paths of the pages."""
        router.add_get("/v1/offers/{id:[^/]+}/usage", self.show_usage)
        router.add_get("/v1/offers/{id:[^/]+}/summary", self.show_summary)

    async def show_usage(self, request: web.Request) -> web.Response:
        """``GET /v1/offers/{id}/usage``: each cap and the live calls, by the ledger."""
        grant = await granted(request, self._tokens, MAY_VIEW)
        known_only(request, frozenset())
        offer, _ = await known_offer(request, grant, self._terms)
        now = self._clock.now()
        content = {"offer": offer.id, "at": _instant(now), **await self._usage(offer, now)}
        return web.Response(body=orjson.dumps(content), headers=_JSON)

    async def show_summary(self, request: web.Request) -> web.Response:
        """``GET /v1/offers/{id}/summary``: everything that an offer's page shows."""
        grant = await granted(request, self._tokens, MAY_VIEW)
        known_only(request, frozenset())
        offer, catalogue = await known_offer(request, grant, self._terms)
        now = self._clock.now()
        month = datetime.fromtimestamp(window_starts(now, offer.limits[0].zone)[Period.MONTH], UTC)
        totals = await self._pages.totals(offer.id, month)
        content = {
            "offer": offer.id,
            "campaign": offer.campaign,
            "buyer": offer.buyer,
            "at": _instant(now),
            "enabled": offer.enabled and offer.buyer_enabled,
            "destination": _destination(offer.destination),
            "pricing": _pricing(offer, catalogue.currency),
            **await self._usage(offer, now),
            "totals": _totals(totals),
            "average_bid": _average_bid(totals, month),
            "recent_calls": await self._recent_calls(offer, grant),
        }
        return web.Response(body=orjson.dumps(content), headers=_JSON)

    async def _usage(self, offer: OfferTerms, now: datetime) -> dict[str, object]:
        usage = await self._pages.usage([limits.owner for limits in offer.limits])
        return {
            "caps": [_cap(each) for each in cap_readings(offer, usage, now)],
            "concurrency": [_concurrency(each) for each in concurrency_readings(offer, usage)],
        }

    async def _recent_calls(self, offer: OfferTerms, grant: Grant) -> list[dict[str, object]]:
        seen_by = None if grant.buyer is None else BuyerId(grant.buyer)
        wanted = CallFilter(offer=offer.id, seen_by=seen_by)
        page = await self._lists.list_calls(wanted, None, RECENT_CALLS)
        return [render_listed(each, View.of(grant)) for each in page.calls]


async def known_offer(
    request: web.Request, grant: Grant, terms: TermsInForce
) -> tuple[OfferTerms, Catalogue]:
    """The offer, when there is one that the token may see: a source's token sees none."""
    catalogue = await terms.latest()
    offer = catalogue.offers.get(OfferId(request.match_info["id"]))
    hidden = grant.source is not None or (
        offer is not None and grant.buyer is not None and offer.buyer != grant.buyer
    )
    if offer is None or hidden:
        raise CallerMistakeError(problems.NOT_FOUND, "There is no such offer.")
    return offer, catalogue


def _cap(reading: CapReading) -> dict[str, object]:
    cap = reading.cap
    return {
        "owner": reading.owner.value,
        "measure": cap.measure.name.lower(),
        "per": cap.period.name.lower(),
        "used": _units(cap.measure, reading.used),
        "pending": _units(cap.measure, reading.pending),
        "limit": _units(cap.measure, cap.limit),
        **_share(reading.ratio),
        "resets_at": None if reading.resets_at is None else _instant(reading.resets_at),
    }


def _concurrency(reading: ConcurrencyReading) -> dict[str, object]:
    return {
        "owner": reading.owner.value,
        "live": reading.live,
        "limit": reading.limit,
        **_share(reading.ratio),
    }


def _share(ratio: Fraction | None) -> dict[str, object]:
    if ratio is None:
        return {"ratio": None, "level": Level.GREEN.value}
    return {"ratio": round(float(ratio), _DIGITS), "level": Level.of(ratio).value}


def _units(measure: Measure, units: int) -> object:
    return render(from_units(units)) if measure is Measure.REVENUE else units


def _destination(destination: Destination | None) -> dict[str, object] | None:
    if destination is None:
        return None
    return {
        "uri": destination.uri,
        "dial_timeout_s": destination.dial_timeout_s,
        "send_digits": destination.send_digits,
        "whisper": destination.whisper,
    }


def _pricing(offer: OfferTerms, currency: str) -> dict[str, object]:
    terms = offer.ping_post
    amounts = {
        "static_price": offer.static_amount,
        "minimum_bid": None if terms is None else terms.minimum_bid,
        "maximum_bid": None if terms is None else terms.maximum_bid,
        "fixed_amount": None if terms is None else terms.fixed_amount,
    }
    told = {name: None if each is None else render(each) for name, each in amounts.items()}
    return {**told, "currency": currency}


def _totals(totals: OfferTotals) -> dict[str, object]:
    return {
        "calls": totals.calls,
        "answered": totals.answered,
        "completed": totals.completed,
        "converted": totals.converted,
        "revenue": render(totals.revenue),
    }


def _average_bid(totals: OfferTotals, month: datetime) -> dict[str, object]:
    mean = totals.average_bid
    return {
        "amount": None if mean is None else render(mean),
        "bids": totals.month_bids,
        "since": _instant(month),
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
