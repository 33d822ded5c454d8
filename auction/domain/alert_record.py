"""An alert that has fired, as it is kept and shown."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """``reading`` is what it fired at. ``pause`` tells of an offer that it pauses.

    That is ``wanted``, ``paused``, ``to_resume``, ``resumed``, or ``left``: others had paused or
    changed the offer.
    """

    alert_id: str
    rule: str
    subject: str
    name: str
    measure: str
    reading: float
    threshold: float
    fired_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    escalated_at: datetime | None = None
    resolved_at: datetime | None = None
    resolution: str | None = None
    pause: str | None = None

    @property
    def phase(self) -> str:
        """``firing``, ``acknowledged`` or ``resolved``."""
        if self.resolved_at is not None:
            return "resolved"
        return "firing" if self.acknowledged_at is None else "acknowledged"
