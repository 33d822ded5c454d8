"""What is stored of an alert that fires, and what its webhooks are told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from auction.domain.alert_terms import AlertRule, Subject
from auction.domain.alerting import AlertEvent, AlertState, Resolution
from config.alerts import ALERT_HOOK, ALERT_OWNER, ESCALATION_HOOK
from storage.alerts import AlertNews, Fired


@dataclass(frozen=True, slots=True)
class Happening:
    """What became of one alert at one look; ``before`` is its state until then.

    ``pauses``: it fires, and its offer is to be paused.
    """

    rule: AlertRule
    subject: Subject
    alert_id: str
    event: AlertEvent
    before: AlertState
    reading: float | None
    now: datetime
    resolution: Resolution | None = None
    pauses: bool = False

    def fired(self) -> Fired:
        """The alert that begins."""
        return Fired(
            alert_id=self.alert_id,
            key=(self.rule.id, str(self.subject)),
            name=self.rule.name,
            measure=self.rule.condition.measure.value,
            reading=self.reading or 0.0,
            threshold=self.rule.condition.threshold,
            at=self.now,
            pauses=self.pauses,
        )

    def news(self) -> Iterator[AlertNews]:
        """What the webhooks of the rule are told."""
        for hook in self._hooks():
            owner = f"{ALERT_OWNER}{self.rule.id}"
            yield AlertNews(owner, hook, self.event.value, self._data())

    def _hooks(self) -> Iterator[str]:
        escalates = self.event is AlertEvent.ESCALATED
        if self.rule.told and not escalates:
            yield ALERT_HOOK
        if escalates or (self.event is AlertEvent.RESOLVED and self.before.escalated):
            yield ESCALATION_HOOK

    def _data(self) -> Mapping[str, object]:
        condition = self.rule.condition
        return {
            "alert_id": self.alert_id,
            "rule": self.rule.id,
            "name": self.rule.name,
            "subject": str(self.subject),
            self.subject.kind.value: self.subject.id or None,
            "measure": condition.measure.value,
            "reading": None if self.reading is None else round(self.reading, 4),
            "comparison": condition.comparison.value,
            "threshold": condition.threshold,
            "over_minutes": condition.over_minutes,
            "pauses": self.pauses,
            "resolution": None if self.resolution is None else self.resolution.value,
            "at": self.now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
