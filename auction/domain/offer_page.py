"""What an offer has come to, as its page shows it."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

_SMALLEST: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class OfferTotals:
    """All that was ever counted, but for ``month_bids``: valid bids of the current month.

    ``calls`` were routed to it, ``completed`` were connected and have ended.
    """

    calls: int
    answered: int
    completed: int
    converted: int
    revenue: Decimal
    month_bids: int
    month_bid_total: Decimal

    @property
    def average_bid(self) -> Decimal | None:
        """The mean of the month's valid bids with four decimals; None without any."""
        if not self.month_bids:
            return None
        mean = self.month_bid_total / self.month_bids
        return mean.quantize(_SMALLEST, rounding=ROUND_HALF_EVEN)
