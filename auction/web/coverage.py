"""The handler of ``/v1/campaigns/{id}/coverage``: who is open, by state and hour of the week."""

import asyncio
import re
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from auction.domain.area_codes import AMERICAN_STATES
from auction.domain.coverage import OfferCoverage, coverage
from auction.domain.hours import DAYS
from auction.domain.ids import CampaignId
from auction.domain.terms import Campaign
from auction.ports import Clock
from auction.web.authentication import MAY_VIEW, unbound
from auction.web.faults import OWN, faults_of
from auction.web.in_force import TermsInForce
from auction.web.problems import NOT_FOUND, CallerMistakeError, Fault, invalid
from auction.web.services import Tokens

MOST_OFFERS: Final = 500
"""Of a campaign whose grid is written out; more are shown one by one (``format=compact``)."""

_HOURS_OF_A_DAY: Final = 24
_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}


_DATE: Final = WithJsonSchema({"type": "string", "format": "date"})
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NO_DAY: Final = "must be a date such as 2026-11-23"


def _day(value: object) -> date:
    try:
        day = date.fromisoformat(str(value)) if _DAY.fullmatch(str(value)) else date.min
    except ValueError:
        day = date.min
    if not date(1970, 1, 8) < day < date(9990, 1, 1):
        raise PydanticCustomError(OWN, _NO_DAY)
    return day


class CoverageQuery(BaseModel):
    """What is asked for. ``week``: any day of it, by default today."""

    model_config = ConfigDict(extra="forbid")

    week: Annotated[date, BeforeValidator(_day), _DATE] | None = None
    state: Annotated[str, Field(json_schema_extra={"pattern": "^[A-Z]{2}$"})] | None = None
    format: Literal["grid", "compact"] = "grid"


class CoverageHandlers:
    """Shows where and when a campaign's calls find somebody."""

    def __init__(self, terms: TermsInForce, tokens: Tokens, clock: Clock) -> None:
        self._terms = terms
        self._tokens = tokens
        self._clock = clock

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the route."""
        router.add_get("/v1/campaigns/{id:[^/]+}/coverage", self.show)

    async def show(self, request: web.Request) -> web.Response:
        """Every state, every hour of one week by the marketplace's clock."""
        await unbound(request, self._tokens, MAY_VIEW)
        catalogue = await self._terms.latest()
        campaign = catalogue.campaigns.get(CampaignId(request.match_info["id"]))
        if campaign is None:
            raise CallerMistakeError(NOT_FOUND, "There is no campaign of this id.")
        asked = _read(request, campaign)
        today = self._clock.now().astimezone(catalogue.zone).date()
        body = await asyncio.to_thread(_render, campaign, catalogue.zone, asked, today)
        return web.Response(body=body, headers=_JSON)


def _read(request: web.Request, campaign: Campaign) -> CoverageQuery:
    """The query, validated. Raises CallerMistakeError (422)."""
    try:
        asked = CoverageQuery.model_validate(dict(request.query))
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None
    if asked.state is not None and asked.state not in AMERICAN_STATES:
        raise invalid(Fault("state", "must be two letters of a state such as CA"))
    if asked.format == "grid" and len(campaign.offers) > MOST_OFFERS:
        told = f"must be compact: the campaign has more than {MOST_OFFERS} offers"
        raise invalid(Fault("format", told))
    return asked


def _render(campaign: Campaign, zone: ZoneInfo, asked: CoverageQuery, today: date) -> bytes:
    day = asked.week or today
    monday = day - timedelta(days=day.weekday())
    states = AMERICAN_STATES if asked.state is None else (asked.state,)
    found = coverage(campaign, zone, monday, states)
    content: dict[str, object] = {
        "campaign": campaign.id,
        "time_zone": zone.key,
        "week": monday.isoformat(),
    }
    if asked.format == "compact":
        content["offers"] = [_offer(each) for each in found]
    else:
        content["states"] = {state: _week(state, found) for state in states}
    return orjson.dumps(content)


def _offer(covered: OfferCoverage) -> dict[str, object]:
    """One offer: its states, and per day a digit for every hour."""
    return {
        "offer": covered.offer,
        "states": sorted(covered.states),
        "hours": {
            day: "".join("1" if covered.hours >> hour & 1 else "0" for hour in _hours_of(number))
            for number, day in enumerate(DAYS)
        },
    }


def _week(state: str, found: Sequence[OfferCoverage]) -> dict[str, object]:
    """The hours of each day in which somebody is open; those alike are told together."""
    return {day: _of_day(state, found, _hours_of(number)) for number, day in enumerate(DAYS)}


def _of_day(state: str, found: Sequence[OfferCoverage], hours: range) -> list[dict[str, object]]:
    opened = [(hour, [each.offer for each in found if each.open_at(state, hour)]) for hour in hours]
    told: list[dict[str, object]] = []
    for offers, run in groupby(opened, key=lambda each: each[1]):
        alike = [hour - hours.start for hour, _ in run]
        if offers:
            told.append({"from": alike[0], "to": alike[-1] + 1, "offers": offers})
    return told


def _hours_of(day: int) -> range:
    return range(day * _HOURS_OF_A_DAY, (day + 1) * _HOURS_OF_A_DAY)
