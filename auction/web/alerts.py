"""Alerts that fire or have fired: looked up, and acknowledged."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.alert_record import AlertRecord
from auction.web import problems
from auction.web.authentication import Scope, granted, granted_to_manage
from auction.web.paging import known_only, read_limit, read_place, write_place
from auction.web.problems import CallerMistakeError, Fault, invalid
from auction.web.services import Tokens

_MAY_LOOK: Final[frozenset[str]] = frozenset({Scope.READ, Scope.ADMIN})
_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}
_TOO_LATE: Final = "It was resolved before anybody acknowledged it: nothing is left to do."
_PAGED: Final = frozenset({"limit", "after", "rule"})
_ALERT_ID: Final = re.compile("[0-9a-f]{32}")
_RULE_ID: Final = re.compile(r"[A-Za-z0-9_.:\-]{1,64}")


class AlertBook(Protocol):
    """Where alerts are kept; each method raises StorageUnavailableError."""

    async def active(self) -> Sequence[AlertRecord]:
        """What fires or is acknowledged, the newest first."""

    async def history(
        self, limit: int, after: tuple[datetime, str] | None = None, rule: str | None = None
    ) -> Sequence[AlertRecord]:
        """All that has fired, the newest first, from after the one that fired then."""

    async def acknowledge(self, alert_id: str, by: str) -> AlertRecord | None:
        """The alert as it is then, None when there is none of this id."""


class AlertHandlers:
    """The handlers of what has fired, under ``/v1/alerts``."""

    def __init__(self, book: AlertBook, tokens: Tokens) -> None:
        self._book = book
        self._tokens = tokens

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes; they come before those of rules, whose ids are never ``active``."""
        router.add_get("/v1/alerts/active", self.active)
        router.add_get("/v1/alerts/history", self.history)
        router.add_post("/v1/alerts/{alert_id:[^/]+}/acknowledge", self.acknowledge)

    async def active(self, request: web.Request) -> web.Response:
        """``GET``: what fires now, acknowledged or not."""
        await self._check(request)
        known_only(request, frozenset())
        return _json({"alerts": [_shown(each) for each in await self._book.active()]})

    async def history(self, request: web.Request) -> web.Response:
        """``GET``: all that has fired, of one ``rule`` if given; ``next`` goes into ``after``."""
        await self._check(request)
        known_only(request, _PAGED)
        limit, after = read_limit(request.query), read_place(request.query, _ALERT_ID)
        found = await self._book.history(limit + 1, after, _read_rule(request))
        page = found[:limit]
        more = write_place((page[-1].fired_at, page[-1].alert_id)) if len(found) > limit else None
        return _json({"alerts": [_shown(each) for each in page], "next": more})

    async def acknowledge(self, request: web.Request) -> web.Response:
        """``POST``: somebody sees to it; repeating it changes nothing; 409 once it is resolved."""
        grant = await granted_to_manage(request, self._tokens)
        alert_id = request.match_info["alert_id"]
        known = _ALERT_ID.fullmatch(alert_id)
        alert = await self._book.acknowledge(alert_id, grant.id) if known else None
        if alert is None:
            raise CallerMistakeError(problems.NOT_FOUND, "There is no alert with this alert_id.")
        if alert.acknowledged_at is None:
            raise CallerMistakeError(problems.SETTLED, _TOO_LATE)
        return _json(_shown(alert))

    async def _check(self, request: web.Request) -> None:
        grant = await granted(request, self._tokens, _MAY_LOOK)
        if grant.buyer is not None or grant.source is not None:
            raise CallerMistakeError(
                problems.FORBIDDEN, "A token that is bound to a buyer or a source can't do this."
            )


def _read_rule(request: web.Request) -> str | None:
    rule = request.query.get("rule")
    if rule is not None and not _RULE_ID.fullmatch(rule):
        raise invalid(Fault("rule", "must be the id of a rule"))
    return rule


def _shown(alert: AlertRecord) -> dict[str, object]:
    return {
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "name": alert.name,
        "subject": alert.subject,
        "phase": alert.phase,
        "measure": alert.measure,
        "reading": alert.reading,
        "threshold": alert.threshold,
        "fired_at": _instant(alert.fired_at),
        "acknowledged_at": _instant(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by,
        "escalated_at": _instant(alert.escalated_at),
        "resolved_at": _instant(alert.resolved_at),
        "resolution": alert.resolution,
        "pause": alert.pause,
    }


def _instant(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(content: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(content), headers=_JSON)
