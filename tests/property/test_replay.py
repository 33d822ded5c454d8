"""Whatever an auction was like: its record decides it again, and tells other terms' outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auction.cli.replay import read_decision
from auction.domain.bidding import (
    NoBid,
    PingFault,
    PostAccepted,
    PostNotSent,
    PostRejected,
    PostUnknown,
    Quote,
)
from auction.domain.filters import Op, prepare
from auction.domain.finishing import Finish, FinishResult
from auction.domain.ids import OfferId, SourceId
from auction.domain.overload import LoadLevel
from auction.domain.quality import QualityRule, QualityTerms
from auction.domain.reasons import Reason
from auction.domain.replay import Line, replay
from auction.domain.replay_auction import NO_ANSWER_RECORDED
from auction.domain.replay_record import Changes, Recorded
from auction.domain.scoring import Odds, OddsBook
from auction.domain.terms import (
    AuctionTerms,
    Boost,
    Cap,
    Measure,
    OfferTerms,
    OnUnknown,
    Period,
    RankBy,
)
from auction.engine.reception import find_campaign
from buyers.terms import build_catalogue
from config.check import check
from storage.memory import MemoryLedger
from tests.builders import CAMPAIGN, a_call, a_catalogue, a_static_offer, an_offer, ping_post
from tests.golden import runner
from tests.unit.engine.harness import Answering, a_marketplace
from tests.unit.engine.known import Known
from tests.virtual_time import run_virtually

FILES = sorted((Path(__file__).parent.parent / "golden" / "auctions").glob("*.json"))
AMOUNTS = st.one_of(
    st.decimals(0, 120, places=2).map(str),
    st.sampled_from(["40.00", "40.00", "60", "NaN", "1,000", ""]),
)
REPLIES = st.one_of(
    st.builds(Quote, amount=AMOUNTS),
    st.builds(Quote, amount=AMOUNTS, expires_in_s=st.sampled_from(["0", "0.05", "0.5", "soon"])),
    st.builds(Quote, amount=AMOUNTS, currency=st.sampled_from(["USD", "EUR"])),
    st.builds(
        Quote,
        amount=AMOUNTS,
        destination=st.sampled_from(
            ["+13105550000", "gopher:x", Decimal(13105550000), ["+13105550000"]]
        ),
    ),
    st.builds(Quote, amount=AMOUNTS, bid_id=st.sampled_from([["b-1"], "x" * 256, "x" * 257])),
    st.builds(NoBid),
    st.builds(PingFault, st.sampled_from([Reason.UNREACHABLE, Reason.BREAKER_OPEN])),
    st.none(),
)
REFUSALS = [PostRejected(), PostUnknown(), PostNotSent()]
POSTS = st.sampled_from([PostAccepted(), PostAccepted("gopher:x"), *REFUSALS, None])
BUYERS = st.builds(
    Answering,
    reply=REPLIES,
    after_ms=st.integers(0, 700),
    post=POSTS,
    post_after_ms=st.integers(0, 700),
)
STEADY_BUYERS = st.builds(
    Answering,
    reply=REPLIES,
    # Never at the moment of a timeout, where either may come first.
    after_ms=st.integers(0, 70).map(lambda tens: tens * 10 + 5.3),
    post=st.sampled_from([PostAccepted(), *REFUSALS]),
    post_after_ms=st.just(5),
)
"""Posts so quick that how much time is left for them makes no difference."""


FACTORS = st.sampled_from([Decimal("0.5"), Decimal("1.25"), Decimal(2)])
BOOSTS = st.lists(
    st.builds(Boost, FACTORS, st.sampled_from([None, SourceId("pub-17"), SourceId("pub-18")])),
    max_size=2,
).map(tuple)
QUALITIES = st.builds(
    QualityTerms,
    base=st.sampled_from([0, 45, 50]),
    rules=st.just((QualityRule((prepare("zip_code", Op.EXISTS, True),), 5),)),
    source_points=st.sampled_from([0, 20]),
)
CHANCES = st.integers(1, 1_000_000).map(lambda millionths: Decimal(millionths) / 1_000_000)
ODDS = st.builds(Odds, CHANCES, CHANCES, CHANCES)
BOOKS = st.builds(
    OddsBook,
    st.dictionaries(st.sampled_from([OfferId(f"offer-{n}") for n in range(5)]), ODDS),
    st.dictionaries(st.just(CAMPAIGN), ODDS),
    ODDS,
)


@dataclass(frozen=True, slots=True)
class Entrant:
    """One offer that bids, and how its buyer answers."""

    buyer: Answering
    timeout_ms: int
    minimum_bid: str
    maximum_bid: Decimal | None
    on_unknown: OnUnknown
    static_price: str | None
    priority: int
    revenue_cap: int | None
    boosts: tuple[Boost, ...]
    least_quality: int | None

    def offer(self, number: int) -> OfferTerms:
        """Its terms; a bid above the cap is eligible and refused when its turn comes."""
        terms = ping_post(
            self.minimum_bid,
            ping_timeout_ms=self.timeout_ms,
            maximum_bid=self.maximum_bid,
            on_unknown=self.on_unknown,
        )
        cap, least = self.revenue_cap, self.least_quality
        return an_offer(
            f"offer-{number}",
            buyer=f"buyer-{number}",
            ping_post=terms,
            static_price=self.static_price,
            priority=self.priority,
            caps=[] if cap is None else [Cap(Measure.REVENUE, Period.DAY, cap)],
            boosts=self.boosts,
            filters=() if least is None else (prepare("quality", Op.GTE, least),),
        )


def entrants(
    buyers: st.SearchStrategy[Answering], caps: st.SearchStrategy[int | None]
) -> st.SearchStrategy[Entrant]:
    return st.builds(
        Entrant,
        buyer=buyers,
        timeout_ms=st.sampled_from([100, 300, 500, 650]),
        minimum_bid=st.sampled_from(["0.01", "30.00", "45.00"]),
        maximum_bid=st.sampled_from([None, Decimal(50), Decimal(100)]),
        on_unknown=st.sampled_from(list(OnUnknown)),
        static_price=st.sampled_from([None, None, "12.00"]),
        priority=st.sampled_from([1, 1, 2]),
        revenue_cap=caps,
        boosts=BOOSTS,
        least_quality=st.sampled_from([None, None, 40, 60]),
    )


@dataclass(frozen=True, slots=True)
class AtLevel:
    """A load that stays as it is."""

    now: LoadLevel

    def level(self) -> LoadLevel:
        return self.now


@dataclass(frozen=True, slots=True)
class Market:
    """What one call meets."""

    entrants: Sequence[Entrant]
    close_at_bid: Decimal | None
    timeout_ms: int
    call: int
    boosted: bool
    rank_by: RankBy
    book: OddsBook | None
    quality: QualityTerms | None
    standing: str
    level: LoadLevel = LoadLevel.NORMAL

    def decide(self, changes: Changes | None = None) -> Recorded:
        """Decide the call by the real engine, under these terms if any, and read its record."""
        offers = [each.offer(number) for number, each in enumerate(self.entrants)]
        statics = [a_static_offer(), a_static_offer("cyan-auto", "17.00", buyer="cyan")]
        script = {f"offer-{number}": each.buyer for number, each in enumerate(self.entrants)}
        terms = AuctionTerms(
            close_at_bid=self.close_at_bid, boosted=self.boosted, rank_by=self.rank_by
        )
        campaign, load = {"auction": terms, "quality": self.quality}, AtLevel(self.level)
        known = Known(self.book, {"pub-17": self.standing})
        market = a_marketplace(
            *offers,
            *statics,
            script=script,
            campaign=campaign,
            load=load,
            forecasts=known,
        )
        if changes is not None:
            market.catalogue = a_catalogue(changes.of(market.catalogue.campaigns[CAMPAIGN]))
        call = a_call(f"call-{self.call}", timeout_ms=self.timeout_ms)
        decision = run_virtually(market.decide(call))
        return read_decision(
            call,
            CAMPAIGN,
            market.catalogue,
            market.ledger.traces[call.call_id],
            price=None if decision["price"] is None else Decimal(decision["price"]),
            reason=decision["reason"],
        )


def markets(
    entrant: st.SearchStrategy[Entrant], timeouts: st.SearchStrategy[int], at_least: int = 0
) -> st.SearchStrategy[Market]:
    return st.builds(
        Market,
        entrants=st.lists(entrant, min_size=at_least, max_size=7),
        close_at_bid=st.sampled_from([None, None, Decimal(60), Decimal(100)]),
        timeout_ms=timeouts,
        # Different calls draw different orders among equals.
        call=st.integers(1, 4),
        boosted=st.sampled_from([False, True]),
        rank_by=st.sampled_from([RankBy.PRICE, RankBy.PRICE, RankBy.EXPECTED_REVENUE]),
        book=st.one_of(st.none(), BOOKS),
        quality=st.one_of(st.none(), QUALITIES),
        standing=st.sampled_from(["-1", "-0.26", "0", "1"]),
    )


ANY_MARKET = markets(
    entrants(BUYERS, st.sampled_from([None, None, 400_000])), st.integers(50, 3000)
)
STEADY_MARKET = markets(
    entrants(STEADY_BUYERS, st.none()), st.sampled_from([400, 800, 2000]), at_least=3
)
HURRIED = {
    None,
    Reason.OVERLOADED,
    Reason.STANDBY,
    Reason.CAP_REACHED,
    Reason.FILTERED,
}
OFFERS = st.sampled_from([OfferId(f"offer-{number}") for number in range(4)])
ANY_CHANGES = st.builds(
    Changes,
    minimum_bids=st.dictionaries(OFFERS, st.decimals(0, 120, places=2), max_size=2),
    timeouts_ms=st.dictionaries(OFFERS, st.sampled_from([9, 100, 250, 400, 700]), max_size=2),
    disabled=st.frozensets(OFFERS, max_size=2),
)


def shown(line: Line) -> tuple[object, ...]:
    again = line.again
    return again.reason, again.bid, again.rank, again.static


@given(ANY_MARKET)
def test_a_record_decides_its_call_again_in_the_same_way(market: Market) -> None:
    recorded = market.decide()
    replayed = replay(recorded)
    assert replayed.same
    assert replayed.again.reason == recorded.reason
    for line in replayed.lines:
        was = line.recorded
        assert shown(line) == (was.reason, was.bid, was.rank, was.static), line.offer
        assert line.note is None


@given(ANY_MARKET)
def test_a_call_that_was_hurried_past_its_auction_is_decided_in_the_same_way(
    market: Market,
) -> None:
    recorded = replace(market, level=LoadLevel.STATIC_ONLY).decide()
    replayed = replay(recorded)
    assert replayed.same
    assert {line.again.reason for line in replayed.lines} <= HURRIED
    for line in replayed.lines:
        assert shown(line) == (line.recorded.reason, None, None, line.recorded.static)


@given(STEADY_MARKET, ANY_CHANGES)
def test_other_terms_are_decided_as_the_engine_would_have(market: Market, changes: Changes) -> None:
    replayed = replay(market.decide(), changes)
    really = replay(market.decide(changes))
    notes = {line.note for line in replayed.lines}
    if NO_ANSWER_RECORDED not in notes:
        assert replayed.again.ranking == really.recorded.ranking
    if notes == {None}:
        assert replayed.again == really.recorded


@given(STEADY_MARKET, ANY_CHANGES)
def test_what_is_changed_to_what_it_was_changes_nothing(market: Market, changes: Changes) -> None:
    recorded = market.decide(changes)
    assert replay(recorded, changes).same


def recorded_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Finish, Recorded]]:
    """The decisions of a golden auction, as they are recorded."""
    finished: list[Finish] = []

    class Watched(MemoryLedger):
        async def finish(self, finish: Finish) -> FinishResult:
            finished.append(finish)
            return await MemoryLedger.finish(self, finish)

    monkeypatch.setattr(runner, "MemoryLedger", Watched)
    golden = orjson.loads(path.read_bytes())
    run_virtually(runner.play(golden))
    catalogue = build_catalogue(check(golden["marketplace"], {}).usable()[1], 1)
    assert finished
    found: list[tuple[Finish, Recorded]] = []
    for finish in finished:
        campaign = find_campaign(catalogue, finish.call)
        recorded = read_decision(
            finish.call,
            None if campaign is None else campaign.id,
            catalogue,
            finish.trace,
            price=None if finish.candidate is None else finish.candidate.price,
            reason=finish.reason,
        )
        found.append((finish, recorded))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_golden_auction_is_decided_again_in_the_same_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for finish, recorded in recorded_of(path, monkeypatch):
        replayed = replay(recorded)
        assert replayed.same
        assert replayed.again.reason == finish.reason
        assert [shown(line) for line in replayed.lines] == [
            (was.reason, was.bid, was.rank, was.static)
            for was in (line.recorded for line in replayed.lines)
        ]


def test_offers_that_the_rules_of_a_number_leave_out_are_left_out_whatever_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [path] = [each for each in FILES if each.stem == "numbers_give_tags_and_have_rules"]
    without_acme = Changes(disabled=frozenset({OfferId("acme-auto")}))
    again = [replay(each, without_acme).again for _, each in recorded_of(path, monkeypatch)]
    assert [each.offer for each in again] == [None, None, None]
    assert [each.reason for each in again][1:] == ["number_rejected", "no_eligible_offer"]
