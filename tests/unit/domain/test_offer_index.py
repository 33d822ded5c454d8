"""How many offers a call looks at, however many there are."""

import pytest

from auction.domain.call import Call, Caller
from auction.domain.call_view import CallView
from auction.domain.compiled import Compiler
from auction.domain.filters import Filter, Op, prepare
from auction.domain.hours import Hours, parse_weekly
from auction.domain.ids import CampaignId, SourceId
from auction.domain.offer_index import MOST_COPIES, SPLIT_ABOVE, OfferIndex, index_offers
from auction.domain.terms import OfferTerms
from tests.builders import NEW_YORK, NOON, a_call, a_campaign, a_catalogue, an_offer

MANY = 20_000
STATES = [f"S{number}" for number in range(50)]


def offers(*filters: tuple[Filter, ...]) -> list[OfferTerms]:
    return [an_offer(f"o-{place:05}", filters=each) for place, each in enumerate(filters)]


def found(index: OfferIndex, call: Call) -> list[int]:
    """The positions of the offers that a call looks at."""
    return [each.position for each in index.candidates(CallView(call))]


def in_state(state: str, **fields: str) -> Call:
    return a_call(caller=Caller("+13105551234", "310", state, "US"), fields=fields)


def equals(field: str, value: str) -> Filter:
    return prepare(field, Op.EQ, value)


def test_of_20000_offers_in_one_campaign_a_call_looks_at_those_that_its_fields_lead_to() -> None:
    index = OfferIndex(
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
    index = OfferIndex(
        offers(
            *(
                (equals("caller.state", STATES[place % 50]), equals("vertical", f"v{place // 400}"))
                for place in range(MANY)
            )
        ),
        Compiler(),
    )
    # 50 values each, and 400 offers for each of them: eight have both.
    assert len(found(index, in_state("S4", vertical="v7"))) == 8


def test_offers_of_other_campaigns_cost_nothing() -> None:
    crowd = [an_offer(f"c-{place:05}", campaign="crowded") for place in range(MANY)]
    catalogue = a_catalogue(
        a_campaign(an_offer("acme")), a_campaign(*crowd, campaign_id="crowded", numbers=())
    )
    index = index_offers(catalogue)[CampaignId("auto-insurance")]
    assert [each.terms.id for each in index.candidates(CallView(a_call()))] == ["acme"]


def test_an_offer_stands_under_the_filter_that_fewest_calls_pass() -> None:
    one_zip = [(equals("vertical", "auto"), equals("zip_code", str(each))) for each in range(5)]
    index = OfferIndex(offers(*one_zip, (equals("vertical", "auto"),)), Compiler())
    assert found(index, a_call(fields={"vertical": "auto", "zip_code": "3"})) == [3, 5]


def test_a_prefix_leads_to_its_offers_as_it_is_written() -> None:
    index = OfferIndex(
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
    index = OfferIndex(offers((condition,), (equals("zip_code", "1"),)), Compiler())
    assert found(index, a_call(fields={"zip_code": "1"})) == [0, 1]


def test_candidates_come_in_the_order_of_the_campaign() -> None:
    index = OfferIndex(
        offers((equals("b", "1"),), (), (equals("a", "1"),), (equals("b", "1"),)), Compiler()
    )
    assert found(index, a_call(fields={"a": "1", "b": "1"})) == [0, 1, 2, 3]


def test_offers_that_take_no_call_at_all_are_left_out_and_keep_their_place() -> None:
    paused = an_offer("b-paused", enabled=False)
    index = OfferIndex(
        [an_offer("a"), paused, an_offer("c", ping_post=None), an_offer("d")], Compiler()
    )
    assert found(index, a_call()) == [0, 3]


def test_long_lists_are_not_multiplied_by_each_other() -> None:
    many = [str(number) for number in range(MOST_COPIES + 1)]
    lists = (prepare("a", Op.IN, many), prepare("b", Op.IN, many))
    index = OfferIndex(offers(*[lists] * (SPLIT_ABOVE + 1)), Compiler())
    assert len(found(index, a_call(fields={"a": "1", "b": "none"}))) == SPLIT_ABOVE + 1
    assert found(index, a_call(fields={"a": "none", "b": "1"})) == []


def test_offers_that_nothing_tells_apart_are_split_no_further_than_some_levels() -> None:
    alike = tuple(equals(f"f{number}", "1") for number in range(8))
    index = OfferIndex(offers(*[alike] * (SPLIT_ABOVE + 1)), Compiler())
    fields = {f"f{number}": "1" for number in range(8)}
    assert len(found(index, a_call(fields=fields))) == SPLIT_ABOVE + 1


def test_offers_whose_hours_have_turned_are_told_and_no_others() -> None:
    until_noon = Hours(NEW_YORK, parse_weekly({"mon-sun": ["08:00-12:00"]}))
    from_noon = Hours(NEW_YORK, parse_weekly({"mon-sun": ["12:00-20:00"]}))
    index = OfferIndex(
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
