"""Who may take a call, and who takes it: pure functions of the domain."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from auction.domain.bidding import Quote
from auction.domain.bids import judge
from auction.domain.call_view import CallView
from auction.domain.compiled import CompiledOffer, Compiler
from auction.domain.offer_index import OfferIndex
from auction.domain.ranking import rank
from auction.domain.usage import Usage
from benchmarks.micro.samples import Sample, a_bid, a_call, a_sample
from benchmarks.micro.timing import Case, sync_case


def eligibility_cases() -> list[Case]:
    """Fixed terms, found through the index, then caps and concurrency of those that are left."""
    return [
        _campaign_case("eligibility.offer", "one offer", a_sample(1)),
        _campaign_case("eligibility.campaign_10", "10 offers, all eligible", a_sample(10)),
        _campaign_case(
            "eligibility.campaign_1000", "1,000 offers, 10 eligible", a_sample(10, offers=1000)
        ),
        _campaign_case(
            "eligibility.campaign_1000_all", "1,000 offers, all eligible", a_sample(1000)
        ),
    ]


def ranking_cases() -> list[Case]:
    """A bid looked at, and the order of many."""
    return [
        sync_case("ranking.judge", "judge one bid", _judging()),
        sync_case("ranking.10", "rank 10 bids", _ranking(10)),
        sync_case("ranking.200", "rank 200 bids", _ranking(200)),
    ]


def _campaign_case(name: str, title: str, sample: Sample) -> Case:
    index = OfferIndex.of(sample.offers, Compiler())
    usage = {limits.owner: Usage() for offer in sample.offers for limits in offer.limits}
    call = a_call()

    def eligible() -> list[CompiledOffer]:
        view = CallView(call)
        allowed = index.allowed(view)
        return [each for each in allowed if each.current_refusal(view, (), usage) is None]

    assert eligible(), "the call is one that offers are eligible for"
    return sync_case(name, title, eligible)


def _judging() -> Callable[[], object]:
    sample = a_sample(1)
    campaign, (offer,) = sample.campaign, sample.offers
    quote = Quote("52.00", None, "b-1", None, 60, 90)
    now = datetime.now(UTC)
    return lambda: judge(quote, offer, campaign, "USD", now)


def _ranking(count: int) -> Callable[[], object]:
    offers = a_sample(count).offers
    expires_at = datetime.now(UTC) + timedelta(minutes=1)
    # Two tie now and then, as they do.
    amounts = [Decimal(4000 + number * 37 % 997 // 2 * 2) / 100 for number in range(count)]
    bids = [a_bid(*pair, expires_at) for pair in zip(offers, amounts, strict=True)]
    call_id = a_call().call_id
    return lambda: rank(bids, call_id)
