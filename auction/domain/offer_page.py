"""What an offer has come to, as its page shows it."""

from dataclasses import dataclass
from decimal import Decimal

from auction.domain.report_measures import mean_bid


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
        return mean_bid(self.month_bid_total, self.month_bids)
