"""Business hours: weekly ranges in a time zone, with closed dates."""
from dataclasses import dataclass
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Hours:
    """Placeholder for the shape only; replaced by its owner."""

    zone: ZoneInfo
