"""The operations on alerts that have fired."""

from typing import Final, Literal

from auction.web.openapi.answers import Answer, Instant
from auction.web.openapi.operation import Operation, Operations


class FiredAlert(Answer):
    """An alert that fires or has fired; ``pause`` tells of the offer that it pauses."""

    alert_id: str
    rule: str
    name: str
    subject: str
    phase: Literal["firing", "acknowledged", "resolved"]
    measure: str
    reading: float
    threshold: float
    fired_at: Instant
    acknowledged_at: Instant | None
    acknowledged_by: str | None
    escalated_at: Instant | None
    resolved_at: Instant | None
    resolution: Literal["cleared", "pause_over", "gone"] | None
    pause: Literal["wanted", "paused", "to_resume", "resumed", "left"] | None


class ActiveAlerts(Answer):
    """What fires now, the newest first."""

    alerts: list[FiredAlert]


class AlertHistory(ActiveAlerts):
    """A page of what has fired; ``next`` goes into ``after``."""

    next: str | None


ALERT_OPERATIONS: Final[Operations] = {
    ("GET", "/v1/alerts/active"): Operation(answers={200: ActiveAlerts}),
    ("GET", "/v1/alerts/history"): Operation(
        answers={200: AlertHistory},
        query={
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            "after": {"type": "string"},
            "rule": {"type": "string"},
        },
        problems=(422,),
    ),
    ("POST", "/v1/alerts/{alert_id}/acknowledge"): Operation(
        answers={200: FiredAlert}, problems=(404, 409)
    ),
}
