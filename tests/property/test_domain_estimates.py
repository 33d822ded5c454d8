"""The odds of revenue, whatever the history is."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from auction.domain.estimates import (
    WINDOW,
    Results,
    SourceResults,
    estimate,
    standings,
)
from auction.domain.ids import CampaignId, OfferId, SourceId
from auction.domain.scoring import Odds
from tests.builders import NOON

A, B = CampaignId("a"), CampaignId("b")
X, Y = OfferId("x"), OfferId("y")
COUNTS = st.integers(0, 1000)
RESULTS = st.builds(
    Results,
    campaign=st.sampled_from([A, B]),
    offer=st.sampled_from([X, Y, OfferId("z")]),
    at=st.integers(-1, 45).map(lambda days: NOON - timedelta(days=days)),
    accepted=COUNTS,
    refused=COUNTS,
    routed=COUNTS,
    answered=COUNTS,
    converted=COUNTS,
)
HISTORIES = st.lists(RESULTS, max_size=8)
ROUNDING = Decimal("0.000002")


def of(history: Sequence[Results], offer: OfferId) -> Odds:
    return estimate(history, NOON).offers[offer]


@given(HISTORIES)
def test_every_chance_lies_above_0_and_at_most_at_1(history: list[Results]) -> None:
    book = estimate(history, NOON)
    for odds in (book.otherwise, *book.offers.values(), *book.campaigns.values()):
        for chance in (odds.accepted, odds.answered, odds.converted):
            assert Decimal(0) < chance <= 1
            assert chance == round(chance, 6)
        assert 0 < odds.of_revenue <= 1


@given(HISTORIES, st.integers(1, 500), st.integers(0, 20))
def test_more_successes_never_lower_an_offers_chances_and_failures_never_raise_them(
    history: list[Results], more: int, days: int
) -> None:
    base = [*history, Results(A, X, NOON)]
    at = NOON - timedelta(days=days)
    before = of(base, X)
    better = of([*base, Results(A, X, at, more, 0, more, more, more)], X)
    worse = of([*base, Results(A, X, at, refused=more, routed=more)], X)
    assert better.accepted >= before.accepted - ROUNDING
    assert better.answered >= before.answered - ROUNDING
    assert better.converted >= before.converted - ROUNDING
    assert worse.accepted <= before.accepted + ROUNDING
    assert worse.answered <= before.answered + ROUNDING


@given(HISTORIES)
def test_an_offer_without_trials_has_its_campaigns_chances(history: list[Results]) -> None:
    assume(all(each.offer != X for each in history))
    book = estimate([*history, Results(A, X, NOON)], NOON)
    assert book.offers[X] == book.campaigns[A]


@given(st.integers(0, 10**9), st.integers(0, 1000))
def test_a_chance_lies_between_the_offers_own_share_and_its_campaigns(
    accepted: int, refused: int
) -> None:
    assume(accepted + refused > 0)
    others = [Results(A, Y, NOON, accepted=300, refused=700)]
    book = estimate([*others, Results(A, X, NOON, accepted, refused)], NOON)
    own = Decimal(accepted) / (accepted + refused)
    low, high = sorted([own, book.campaigns[A].accepted])
    assert low - ROUNDING <= book.offers[X].accepted <= high + ROUNDING


@given(st.integers(0, 100))
def test_with_many_trials_an_offers_own_share_decides(percent: int) -> None:
    many = 10_000_000
    own = Results(A, X, NOON, many * percent // 100, many * (100 - percent) // 100)
    others = Results(A, Y, NOON, accepted=50, refused=50)
    assert abs(of([own, others], X).accepted - Decimal(percent) / 100) < Decimal("0.00001")


@given(HISTORIES)
def test_what_is_too_old_counts_for_nothing(history: list[Results]) -> None:
    old = Results(A, X, NOON - WINDOW - timedelta(seconds=1), 1000, 0, 1000, 1000, 1000)
    assert estimate([*history, old], NOON) == estimate(history, NOON)


SOURCES = st.lists(
    st.builds(
        SourceResults,
        st.sampled_from([SourceId("pub-17"), SourceId("pub-18")]),
        st.integers(-1, 45).map(lambda days: NOON - timedelta(days=days)),
        COUNTS,
        COUNTS,
    ),
    max_size=6,
)


@given(SOURCES)
def test_a_standing_lies_between_minus_1_and_1(results: list[SourceResults]) -> None:
    for standing in standings(results, NOON).values():
        assert -1 <= standing <= 1
        assert standing == round(standing, 2)


@given(SOURCES)
def test_what_is_too_old_moves_no_standing(results: list[SourceResults]) -> None:
    source = SourceId("pub-17")
    old = SourceResults(source, NOON - WINDOW - timedelta(seconds=1), 1000, 1000)
    assert standings([*results, old], NOON).get(source, 0) == standings(results, NOON).get(
        source, 0
    )
