"""What history lets us expect, as a test says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from auction.domain.ids import SourceId
from auction.domain.scoring import OddsBook


@dataclass(frozen=True, slots=True)
class Known:
    """Odds and standings that stay as they are."""

    book: OddsBook | None = None
    standings: Mapping[str, str] = field(default_factory=dict)

    def odds(self) -> OddsBook | None:
        return self.book

    def standing(self, source: SourceId) -> Decimal | None:
        told = self.standings.get(source)
        return None if told is None else Decimal(told)
