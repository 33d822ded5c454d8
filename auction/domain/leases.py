"""Lending a pool's numbers to visitors: what is asked and what is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from auction.domain.call import FieldValue
from auction.domain.ids import SourceId


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A visitor asks for a number; ``tags`` join the calls that arrive on it.

    None: those stay that the visitor's lease has.
    """

    session_id: str
    source: SourceId | None
    tags: Mapping[str, FieldValue] | None


@dataclass(frozen=True, slots=True)
class Leased:
    """The visitor's number; whatever is shown until ``expires_at`` may be called."""

    number: str
    expires_at: datetime


class Exhausted(Enum):
    """Why no number is lent; the value is what the answer says."""

    POOL = "pool_exhausted"
    POOL_CAP = "pool_cap"
    SOURCE_CAP = "source_cap"
