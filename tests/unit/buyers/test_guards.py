"""The guards of each revision of the catalogue."""

from typing import Any

import pytest

from auction.domain.breaker import BreakerState, PingWeight
from auction.domain.ids import OfferId
from auction.domain.ping_rate import PingRateTerms
from auction.domain.reasons import Reason
from auction.domain.terms import BuyerType, Catalogue, OfferTerms, PingPostTerms
from auction.ports import Admitted, HeldBack, PingGuard
from buyers.guards import Guards
from tests.builders import a_campaign, a_catalogue, an_offer, ping_post
from tests.guard_steps import breaker_terms

ACME, BEACON = OfferId("acme-auto"), OfferId("beacon-auto")
BREAKER = breaker_terms(minimum_pings=2)
States = list[tuple[OfferId, BreakerState]]


def a_market(*terms: PingPostTerms, **changes: Any) -> Catalogue:
    offers: list[OfferTerms] = [
        an_offer(offer, ping_post=each, **changes)
        for offer, each in zip((ACME, BEACON), terms, strict=False)
    ]
    return a_catalogue(a_campaign(*offers))


def break_open(guard: PingGuard) -> None:
    for _ in range(2):
        admitted = guard.ask(0.0)
        assert isinstance(admitted, Admitted)
        guard.pinged(admitted, PingWeight.TIMED_OUT, 0.0)


def is_held_back(guard: PingGuard) -> bool:
    return isinstance(guard.ask(0.0), HeldBack)


def test_only_auctioned_offers_with_a_breaker_or_a_rate_have_a_guard() -> None:
    rated = ping_post(ping_rate=PingRateTerms(1))
    assert Guards().of(a_market(ping_post(), rated)).keys() == {BEACON}
    assert Guards().of(a_market(rated, buyer_type=BuyerType.QUALITY_ASSURANCE)) == {}


def test_a_reload_forgets_nothing_of_offers_whose_terms_are_the_same() -> None:
    guards = Guards()
    terms = ping_post(breaker=BREAKER, ping_rate=PingRateTerms(2))
    break_open(guards.of(a_market(terms, ping_post()))[ACME])
    other_price = ping_post("31.00", breaker=BREAKER, ping_rate=PingRateTerms(2))
    held = guards.of(a_market(other_price))[ACME].ask(0.0)
    assert isinstance(held, HeldBack)
    assert held.reason is Reason.THROTTLED
    held = guards.of(a_market(terms))[ACME].ask(1.0)
    assert isinstance(held, HeldBack)
    assert held.reason is Reason.BREAKER_OPEN


def test_a_reload_with_other_terms_begins_anew() -> None:
    guards = Guards()
    break_open(guards.of(a_market(ping_post(breaker=BREAKER)))[ACME])
    changed = ping_post(breaker=breaker_terms(minimum_pings=3))
    assert not is_held_back(guards.of(a_market(changed))[ACME])


def test_a_new_rate_leaves_the_breaker_as_it_was() -> None:
    guards = Guards()
    break_open(guards.of(a_market(ping_post(breaker=BREAKER)))[ACME])
    both = ping_post(breaker=BREAKER, ping_rate=PingRateTerms(5))
    assert is_held_back(guards.of(a_market(both))[ACME])


def test_an_offer_that_was_gone_comes_back_without_a_past() -> None:
    guards = Guards()
    market = a_market(ping_post(breaker=BREAKER, ping_rate=PingRateTerms(1)))
    break_open(guards.of(a_market(ping_post(breaker=BREAKER)))[ACME])
    assert guards.of(a_market(ping_post())) == {}
    assert not is_held_back(guards.of(market)[ACME])


def test_every_change_of_state_is_told_once() -> None:
    told: States = []
    guard = Guards(lambda offer, state: told.append((offer, state))).of(
        a_market(ping_post(breaker=BREAKER))
    )[ACME]
    break_open(guard)
    assert is_held_back(guard)
    for _ in range(5):
        probe = guard.ask(30.0)
        assert isinstance(probe, Admitted)
        guard.pinged(probe, PingWeight.ANSWERED, 30.0)
    assert told == [
        (ACME, BreakerState.OPEN),
        (ACME, BreakerState.HALF_OPEN),
        (ACME, BreakerState.CLOSED),
    ]


@pytest.mark.parametrize("after", [ping_post(), ping_post(breaker=breaker_terms())])
def test_a_breaker_that_is_gone_shows_as_closed_whatever_calls_still_tell_it(
    after: PingPostTerms,
) -> None:
    told: States = []
    guards = Guards(lambda offer, state: told.append((offer, state)))
    old = guards.of(a_market(ping_post(breaker=BREAKER)))[ACME]
    under_way = old.ask(0.0)
    assert isinstance(under_way, Admitted)
    guards.of(a_market(after))
    assert told == [(ACME, BreakerState.CLOSED)]
    break_open(old)
    assert told == [(ACME, BreakerState.CLOSED)]


def test_posts_are_told_as_well() -> None:
    terms = ping_post(breaker=breaker_terms(minimum_posts=1))
    guard = Guards().of(a_market(terms))[ACME]
    guard.posted(refused=True, now=0.0)
    assert is_held_back(guard)
    rated = Guards().of(a_market(ping_post(ping_rate=PingRateTerms(1))))[ACME]
    rated.posted(refused=True, now=0.0)
    assert not is_held_back(rated)


def test_several_processes_share_a_rate() -> None:
    rated = a_market(ping_post(ping_rate=PingRateTerms(4)))
    guard = Guards(processes=2).of(rated)[ACME]
    assert [is_held_back(guard) for _ in range(3)] == [False, False, True]


def test_in_shadow_the_first_that_would_hold_a_ping_back_is_named() -> None:
    terms = ping_post(
        breaker=breaker_terms(minimum_pings=1, shadow=True),
        ping_rate=PingRateTerms(1, shadow=True),
    )
    guard = Guards().of(a_market(terms))[ACME]
    first = guard.ask(0.0)
    assert isinstance(first, Admitted)
    guard.pinged(first, PingWeight.TIMED_OUT, 0.0)
    second, third = guard.ask(0.0), guard.ask(2.0)
    assert isinstance(second, Admitted)
    assert isinstance(third, Admitted)
    assert second.shadow == HeldBack(Reason.THROTTLED, "the limit is 1 per second")
    assert third.shadow == HeldBack(Reason.BREAKER_OPEN, "open: 1 of 1 pings timed out")


def test_in_shadow_only_pings_that_would_have_been_probes_are_judged_as_such() -> None:
    told: States = []
    terms = ping_post(breaker=breaker_terms(minimum_pings=2, probes=1, shadow=True))
    guard = Guards(lambda offer, state: told.append((offer, state))).of(a_market(terms))[ACME]
    break_open(guard)
    probe, other = guard.ask(30.0), guard.ask(30.0)
    assert isinstance(probe, Admitted)
    assert isinstance(other, Admitted)
    assert other.shadow is not None
    guard.pinged(other, PingWeight.ANSWERED, 30.0)
    assert told[-1] == (ACME, BreakerState.HALF_OPEN)
    guard.pinged(probe, PingWeight.ANSWERED, 30.0)
    assert told[-1] == (ACME, BreakerState.CLOSED)
