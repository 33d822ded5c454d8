"""What bidders are told."""

from auction.domain.ids import CampaignId, OfferId, PingId
from auction.domain.notices import Notice
from auction.domain.reasons import Reason


def test_a_bid_without_a_reason_against_it_has_won() -> None:
    notice = Notice(OfferId("acme-auto"), CampaignId("auto"), PingId("p-1"))
    assert notice.won
    lost = Notice(OfferId("acme-auto"), CampaignId("auto"), PingId("p-1"), reason=Reason.OUTBID)
    assert not lost.won
