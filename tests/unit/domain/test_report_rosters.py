"""Calls times the offers of their rosters, by whatever a report has rows of."""

from auction.domain.report_figures import FigureClass
from auction.domain.report_question import By, Place
from auction.domain.report_rosters import (
    CallGroup,
    OfferCalls,
    OfferGroup,
    RosterCalls,
    RosterChange,
)

SOLD, TEST, QUALITY = FigureClass.SOLD, FigureClass.TEST, FigureClass.QUALITY_ASSURANCE


def a_group(campaign: str = "auto", source: str = "", *, test: bool = False) -> CallGroup:
    return CallGroup(0, campaign, source, test)


def counted(by_roster: dict[int, int], uncounted: int = 0) -> RosterCalls:
    return RosterCalls(sum(by_roster.values()) + uncounted, by_roster)


def changes(
    name: str, *steps: tuple[int, int], campaign: str = "auto", kind: FigureClass = SOLD
) -> list[RosterChange]:
    group = OfferGroup(campaign, name, kind)
    return [RosterChange(group, revision, change, "acme") for revision, change in steps]


def of(calls: OfferCalls, by: By, name: str, kind: FigureClass = SOLD) -> int | None:
    return calls.of(by, kind, Place(0, name))


def test_an_offer_counts_the_calls_of_the_rosters_that_have_it() -> None:
    came_and_went = changes("acme-auto", (7, -1), (3, 1))
    calls = OfferCalls({a_group(): counted({1: 10, 3: 100, 5: 1000, 7: 10_000})}, came_and_went)
    assert of(calls, By.OFFER, "acme-auto") == 1100
    assert of(calls, By.OFFER, "nobody") == 0
    assert calls.of(By.OFFER, SOLD, Place(1, "acme-auto")) == 0


def test_only_what_has_changed_between_the_calls_matters() -> None:
    steps = changes("acme", (1, 1), (2, 4), (3, -2), (9, 50))
    assert of(OfferCalls({a_group(): counted({4: 7})}, steps), By.BUYER, "acme") == 21
    assert of(OfferCalls({a_group(): counted({2: 1, 3: 1})}, steps), By.BUYER, "acme") == 8
    assert of(OfferCalls({a_group(): counted({0: 9})}, steps), By.BUYER, "acme") == 0


def test_an_offer_that_was_moved_counts_the_calls_of_both_campaigns() -> None:
    moved = [
        *changes("acme-auto", (1, 1), (5, -1)),
        *changes("acme-auto", (5, 1), campaign="home"),
    ]
    groups = {a_group(): counted({1: 3, 5: 30}), a_group("home"): counted({1: 300, 5: 3000})}
    assert of(OfferCalls(groups, moved), By.OFFER, "acme-auto") == 3003


def test_campaigns_and_sources_count_all_their_offers() -> None:
    groups = {
        a_group("auto", "pub-17"): counted({1: 2}),
        a_group("home", "pub-17"): counted({1: 5}),
        a_group("auto", "pub-18"): counted({1: 7}),
    }
    all_offers = [*changes("", (1, 3)), *changes("", (1, 10), campaign="home")]
    calls = OfferCalls(groups, all_offers)
    assert of(calls, By.SOURCE, "pub-17") == 2 * 3 + 5 * 10
    assert of(calls, By.SOURCE, "pub-18") == 7 * 3
    assert calls.total() == 2 * 3 + 5 * 10 + 7 * 3
    together = OfferCalls({a_group("auto"): counted({1: 9})}, all_offers)
    assert of(together, By.CAMPAIGN, "auto") == 27
    assert of(together, By.CAMPAIGN, "") == 0


def test_what_is_not_sold_stands_apart() -> None:
    groups = {a_group(): counted({1: 2}), a_group(test=True): counted({1: 100})}
    offers = [*changes("", (1, 3)), *changes("", (1, 10), kind=QUALITY)]
    calls = OfferCalls(groups, offers)
    assert of(calls, By.CAMPAIGN, "auto") == 6
    assert of(calls, By.CAMPAIGN, "auto", QUALITY) == 20
    assert of(calls, By.CAMPAIGN, "auto", TEST) == 1300
    assert calls.total() == 6


def test_calls_that_were_not_counted_by_their_roster_leave_it_unknown() -> None:
    groups = {
        a_group(): counted({1: 2}, uncounted=1),
        a_group("home"): counted({}, uncounted=4),
        a_group("solar"): counted({1: 5}),
    }
    offers = [
        *changes("", (1, 3)),
        *changes("", (1, 3), campaign="home"),
        *changes("", (1, 3), campaign="solar"),
    ]
    calls = OfferCalls(groups, offers)
    assert of(calls, By.CAMPAIGN, "auto") is None
    assert of(calls, By.CAMPAIGN, "home") is None
    assert of(calls, By.CAMPAIGN, "solar") == 15
    assert calls.total() is None


def test_calls_that_were_taken_out_again_are_none() -> None:
    offers = [*changes("acme-auto", (1, 1)), *changes("", (1, 1))]
    calls = OfferCalls({a_group(): counted({})}, offers)
    assert of(calls, By.OFFER, "acme-auto") == 0
    assert calls.total() == 0


def test_an_offer_without_figures_has_rows_where_there_were_calls_for_it() -> None:
    groups = {
        CallGroup(1, "auto", "", False): counted({1: 2}),
        CallGroup(1, "auto", "", True): counted({1: 1}),
        CallGroup(2, "auto", "", False): counted({1: 2}, uncounted=1),
    }
    rows = list(OfferCalls(groups, changes("acme-auto", (1, 1))).rows_of("acme-auto", 3))
    assert [(row.place, row.figure_class) for row in rows] == [
        (Place(1, "acme-auto"), SOLD),
        (Place(1, "acme-auto"), TEST),
    ]
    assert {(row.campaign, row.buyer) for row in rows} == {("auto", "acme")}
