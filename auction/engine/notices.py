"""What bidders are told once their call is decided."""

from collections.abc import Collection, Iterable

from auction.domain.ids import CampaignId, OfferId
from auction.domain.notices import Notice
from auction.domain.reasons import Reason
from auction.engine.outcome import Outcome
from auction.engine.walk import Taken

_LONGEST_BID_ID = 256


def notices_of(
    outcomes: Iterable[Outcome],
    campaign: CampaignId,
    taken: Taken | None,
    wanted_by: Collection[OfferId],
) -> list[Notice]:
    """The news of this decision for the bidders that ask for it.

    A bidder is whoever named a bid, valid or refused. Bids of an earlier attempt heard then that
    they had lost: of them only one that wins now is told.
    """
    return [
        _notice(outcome, campaign, taken)
        for outcome in outcomes
        if outcome.offer in wanted_by and _is_news(outcome)
    ]


def _is_news(outcome: Outcome) -> bool:
    if outcome.ping_id is None:
        return False
    if outcome.ms is None:
        return outcome.reason is None
    return outcome.reason is None or outcome.bid is not None or outcome.reason >= Reason.BID_REFUSED


def _notice(outcome: Outcome, campaign: CampaignId, taken: Taken | None) -> Notice:
    assert outcome.ping_id is not None, "only who was pinged is told"
    bid_id = None if outcome.quote is None else outcome.quote.bid_id
    won = outcome.reason is None and taken is not None
    return Notice(
        offer=outcome.offer,
        campaign=campaign,
        ping_id=outcome.ping_id,
        bid_id=None if bid_id is None else str(bid_id)[:_LONGEST_BID_ID],
        bid=outcome.bid,
        reason=outcome.reason,
        price=taken.candidate.price if won and taken is not None else None,
    )
