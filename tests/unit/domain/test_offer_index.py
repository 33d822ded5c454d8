"""How many offers a call looks at, however many there are."""

from dataclasses import replace

import pytest

from auction.domain.call import Call, Caller
from auction.domain.call_view import CallView
from auction.domain.compiled import Compiler
from auction.domain.filters import Filter, Op, prepare
from auction.domain.hours import Hours, parse_weekly
from auction.domain.ids import CampaignId, SourceId
from auction.domain.offer_index import ANEW_UP_TO, OfferIndex, index_offers
from auction.domain.offer_tree import MOST_COPIES, SPLIT_ABOVE
from auction.domain.terms import OfferTerms
from tests.builders import NEW_YORK, NOON, a_call, a_campaign, a_catalogue, an_offer

MANY = 20_000
STATES = [f"S{number}" for number in range(50)]


def offers(*filters: tuple[Filter, ...]) -> list[OfferTerms]:
    return [an_offer(f"o-{place:05}", filters=each) for place, each in enumerate(filters)]


def found(index: OfferIndex, call: Call) -> list[int]:
    """The positions of the offers that a call looks at."""
    return [int(each.id.removeprefix("o-")) for each in index.candidates(CallView(call))]


def in_state(state: str, **fields: str) -> Call:
    return a_call(caller=Caller("+13105551234", "310", state, "US"), fields=fields)


def equals(field: str, value: str) -> Filter:
    return prepare(field, Op.EQ, value)


def test_of_20000_offers_in_one_campaign_a_call_looks_at_those_that_its_fields_lead_to() -> None:
    index = OfferIndex.of(
        offers(
            *(
                (
                    equals("vertical", ["auto", "home"][place % 2]),
                    prepare("caller.state", Op.IN, [STATES[place % 50], STATES[place // 2 % 50]]),
                    equals("zip_code", str(place // 10)),
                )
                for place in range(MANY)
            )
        ),
        Compiler(),
    )
    assert found(index, in_state("S4", vertical="auto", zip_code="10")) == [*range(100, 110)]
    assert found(index, in_state("S4", vertical="auto")) == []


def test_a_bucket_that_is_large_is_split_by_the_filters_that_are_left() -> None:
    index = OfferIndex.of(
        offers(
            *(
                (equals("caller.state", STATES[place % 50]), equals("vertical", f"v{place // 100}"))
                for place in range(5000)
            )
        ),
        Compiler(),
    )
    # 50 values each, and 100 offers for each of them: two have both.
    assert len(found(index, in_state("S4", vertical="v7"))) == 2


def test_offers_of_other_campaigns_cost_nothing() -> None:
    crowd = [an_offer(f"c-{place:05}", campaign="crowded") for place in range(MANY)]
    catalogue = a_catalogue(
        a_campaign(an_offer("acme")), a_campaign(*crowd, campaign_id="crowded", numbers=())
    )
    index = index_offers(catalogue)[CampaignId("auto-insurance")]
    assert [each.terms.id for each in index.candidates(CallView(a_call()))] == ["acme"]


def test_an_offer_stands_under_the_filter_that_fewest_calls_pass() -> None:
    one_zip = [(equals("vertical", "auto"), equals("zip_code", str(each))) for each in range(5)]
    index = OfferIndex.of(offers(*one_zip, (equals("vertical", "auto"),)), Compiler())
    assert found(index, a_call(fields={"vertical": "auto", "zip_code": "3"})) == [3, 5]


def test_a_prefix_leads_to_its_offers_as_it_is_written() -> None:
    index = OfferIndex.of(
        offers(
            (prepare("zip_code", Op.PREFIX, "902"),),
            (prepare("zip_code", Op.PREFIX, "90"),),
            (prepare("zip_code", Op.PREFIX, "k1a"),),
        ),
        Compiler(),
    )
    assert found(index, a_call(fields={"zip_code": " 90210"})) == [0, 1]
    assert found(index, a_call(fields={"zip_code": "K1A 0B1"})) == []


@pytest.mark.parametrize(
    "condition",
    [
        prepare("zip_code", Op.NE, "1"),
        prepare("zip_code", Op.NOT_IN, ["1"]),
        prepare("age", Op.GT, 30),
    ],
)
def test_an_offer_with_no_filter_on_a_text_is_looked_at_by_every_call(condition: Filter) -> None:
    index = OfferIndex.of(offers((condition,), (equals("zip_code", "1"),)), Compiler())
    assert found(index, a_call(fields={"zip_code": "1"})) == [0, 1]


def test_candidates_come_in_the_order_of_the_campaign() -> None:
    index = OfferIndex.of(
        offers((equals("b", "1"),), (), (equals("a", "1"),), (equals("b", "1"),)), Compiler()
    )
    assert found(index, a_call(fields={"a": "1", "b": "1"})) == [0, 1, 2, 3]


def test_offers_that_take_no_call_at_all_are_left_out() -> None:
    paused = an_offer("o-1", enabled=False)
    index = OfferIndex.of(
        [an_offer("o-0"), paused, an_offer("o-2", ping_post=None), an_offer("o-3")], Compiler()
    )
    assert found(index, a_call()) == [0, 3]


def many(count: int) -> list[OfferTerms]:
    """Offers, two for each zip code."""
    return offers(*((equals("zip_code", str(place // 2)),) for place in range(count)))


def with_zip(zip_code: str) -> Call:
    return a_call(fields={"zip_code": zip_code})


def test_a_change_of_a_few_offers_takes_over_what_was_made_of_the_others() -> None:
    before = many(4 * ANEW_UP_TO)
    after = [
        replace(before[0], enabled=False),
        replace(before[1], filters=(equals("zip_code", "7"),)),
        *before[3:],
        an_offer("o-99999", filters=(equals("zip_code", "7"),)),
    ]
    index = OfferIndex.of(before, Compiler())
    updated = index.updated(after)
    assert updated.common is index.common
    assert found(updated, with_zip("0")) == []
    assert found(updated, with_zip("1")) == [3]
    assert found(updated, with_zip("7")) == [1, 14, 15, 99999]
    assert found(index, with_zip("0")) == [0, 1], "calls in flight find what they found"
    undone = updated.updated(before)
    assert [found(undone, with_zip(each)) for each in ("0", "7")] == [[0, 1], [14, 15]]
    assert undone.common is index.common


def test_a_revision_that_changes_no_offer_of_a_campaign_keeps_its_index() -> None:
    before = many(4)
    index = OfferIndex.of([*before, an_offer("o-4", enabled=False)], Compiler())
    assert index.updated(before) is index
    assert index.updated([*before, an_offer("o-5", enabled=False)]) is index
    assert index.updated(before[1:]) is not index


@pytest.mark.parametrize(
    ("count", "changed"), [(ANEW_UP_TO, 1), (4 * ANEW_UP_TO, ANEW_UP_TO + 1)], ids=["few", "many"]
)
def test_all_offers_are_indexed_anew_where_that_is_no_slower(count: int, changed: int) -> None:
    before = many(count)
    index = OfferIndex.of(before, Compiler())
    updated = index.updated(
        [*(replace(each, weight=7) for each in before[:changed]), *before[changed:]]
    )
    assert updated.changed is None
    assert updated.common is not index.common
    assert not updated.gone
    assert found(updated, with_zip("0")) == [0, 1]


def test_an_index_with_many_changes_is_worn_and_anew_it_is_not() -> None:
    before = many(8 * ANEW_UP_TO)
    index = OfferIndex.of(before, Compiler())
    few = index.updated(before[1:])
    assert not index.worn
    assert not few.worn
    changed = ANEW_UP_TO
    some = index.updated(
        [*(replace(each, weight=7) for each in before[:changed]), *before[changed:]]
    )
    fewer = index.updated(before[changed:])
    assert [some.worn, fewer.worn] == [True, True]
    anew = some.anew()
    assert not anew.worn
    assert anew.changed is None
    assert [each.terms.weight for each in anew.candidates(CallView(with_zip("0")))] == [7, 7]
    assert found(fewer.anew(), with_zip("0")) == []


def test_the_next_revision_builds_upon_the_indexes_of_the_one_before() -> None:
    kept, changing = a_campaign(an_offer("acme")), [*many(2)]
    campaign = a_campaign(*changing, campaign_id="home", numbers=())
    known = index_offers(a_catalogue(kept, campaign))
    renewed = a_campaign(changing[0], campaign_id="home", numbers=())
    added = a_campaign(campaign_id="solar", numbers=())
    indexes = index_offers(a_catalogue(kept, renewed, added), known)
    auto, home = CampaignId("auto-insurance"), CampaignId("home")
    assert indexes.keys() == {auto, home, CampaignId("solar")}
    assert indexes[auto] is known[auto]
    assert found(indexes[home], with_zip("0")) == [0]


def test_texts_that_lead_to_the_same_offers_are_split_alike() -> None:
    both = prepare("caller.state", Op.IN, ["CA", "NY"])
    alike = [(both, equals("vertical", f"v{place % 3}")) for place in range(SPLIT_ABOVE + 1)]
    others = [(equals("caller.state", state),) for state in STATES]
    index = OfferIndex.of(offers(*alike, *others), Compiler())
    for state in ("CA", "NY"):
        assert found(index, in_state(state, vertical="v1")) == [1, 4, 7, 10, 13, 16]


def test_long_lists_are_not_multiplied_by_each_other() -> None:
    many = [str(number) for number in range(MOST_COPIES + 1)]
    lists = (prepare("a", Op.IN, many), prepare("b", Op.IN, many))
    index = OfferIndex.of(offers(*[lists] * (SPLIT_ABOVE + 1)), Compiler())
    assert len(found(index, a_call(fields={"a": "1", "b": "none"}))) == SPLIT_ABOVE + 1
    assert found(index, a_call(fields={"a": "none", "b": "1"})) == []


def test_short_lists_are_multiplied_only_so_often() -> None:
    eight = [str(number) for number in range(8)]
    lists = (equals("zip_code", "1"), prepare("a", Op.IN, eight), prepare("b", Op.IN, eight))
    others = [(equals("zip_code", str(place)),) for place in range(2, 20)]
    index = OfferIndex.of(offers(*[lists] * (SPLIT_ABOVE + 1), *others), Compiler())
    assert found(index, a_call(fields={"zip_code": "1", "a": "none", "b": "1"})) == []
    by_a = a_call(fields={"zip_code": "1", "a": "1", "b": "none"})
    assert len(found(index, by_a)) == SPLIT_ABOVE + 1


def test_offers_that_nothing_tells_apart_are_split_no_further_than_some_levels() -> None:
    alike = tuple(equals(f"f{number}", "1") for number in range(8))
    index = OfferIndex.of(offers(*[alike] * (SPLIT_ABOVE + 1)), Compiler())
    fields = {f"f{number}": "1" for number in range(8)}
    assert len(found(index, a_call(fields=fields))) == SPLIT_ABOVE + 1


def test_offers_whose_hours_have_turned_are_told_and_no_others() -> None:
    until_noon = Hours(NEW_YORK, parse_weekly({"mon-sun": ["08:00-12:00"]}))
    from_noon = Hours(NEW_YORK, parse_weekly({"mon-sun": ["12:00-20:00"]}))
    index = OfferIndex.of(
        [
            an_offer("a", hours=until_noon),
            an_offer("b", hours=from_noon, blocked_sources=frozenset({SourceId("pub-17")})),
            an_offer("c", hours=Hours(NEW_YORK)),
            an_offer("d"),
        ],
        Compiler(),
    )
    morning = CallView(a_call(received_at=NOON.replace(hour=16, minute=59)))
    turned = index.turned(morning, CallView(a_call(received_at=NOON)))
    assert [each.terms.id for each in turned] == ["a", "b"]


def test_an_offer_that_has_changed_is_asked_about_the_same_hours_as_the_others() -> None:
    hours = Hours(NEW_YORK, parse_weekly({"mon-sun": ["08:00-12:00"]}))
    before = [replace(each, hours=hours) for each in many(4 * ANEW_UP_TO)]
    index = OfferIndex.of(before, Compiler())
    updated = index.updated([replace(before[0], weight=7), *before[1:]])
    assert updated.changed is not None
    assert updated.changed.by_opening.keys() == index.common.by_opening.keys()
