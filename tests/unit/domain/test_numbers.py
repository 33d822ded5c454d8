"""What a dialled number says of its calls, and which of them it takes."""

from collections.abc import Mapping

import pytest

from auction.domain.call import FieldValue
from auction.domain.filters import Op, prepare
from auction.domain.ids import OfferId, SourceId
from auction.domain.numbers import NumberRule, NumberTerms, joined
from tests.builders import CAMPAIGN, DIALED_NUMBER, a_call, a_catalogue

CALIFORNIA = prepare("caller.state", Op.EQ, "CA")
TEXAS = prepare("caller.state", Op.EQ, "TX")
BRAND = prepare("keyword", Op.EQ, "brand")
ACME, BEACON, COBALT = OfferId("acme"), OfferId("beacon"), OfferId("cobalt")


def a_number(*rules: NumberRule) -> NumberTerms:
    whole = tuple(rule for rule in rules if not rule.offers)
    chosen = tuple(rule for rule in rules if rule.offers)
    return NumberTerms(DIALED_NUMBER, CAMPAIGN, call_rules=whole, offer_rules=chosen)


def accept(*filters: object, offers: tuple[OfferId, ...] = ()) -> NumberRule:
    return NumberRule(True, filters, frozenset(offers))  # type: ignore[arg-type] # brief


def reject(*filters: object, offers: tuple[OfferId, ...] = ()) -> NumberRule:
    return NumberRule(False, filters, frozenset(offers))  # type: ignore[arg-type] # brief


@pytest.mark.parametrize(
    ("rules", "rejected"),
    [
        ((), False),
        ((reject(CALIFORNIA),), True),
        ((reject(TEXAS),), False),
        ((reject(CALIFORNIA, BRAND),), False),
        ((accept(CALIFORNIA),), False),
        ((accept(TEXAS),), True),
        ((accept(TEXAS), accept(CALIFORNIA)), False),
        ((accept(CALIFORNIA), reject(CALIFORNIA)), True),
        ((reject(),), True),
    ],
)
def test_retreaver_rules_of_a_number_accept_or_reject_a_call(
    rules: tuple[NumberRule, ...], *, rejected: bool
) -> None:
    assert a_number(*rules).rejects(a_call()) is rejected


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ((reject(offers=(ACME,)),), {BEACON, COBALT}),
        ((accept(offers=(ACME, BEACON)),), {ACME, BEACON}),
        ((accept(offers=(ACME, BEACON)), reject(CALIFORNIA, offers=(BEACON,))), {ACME}),
        ((accept(offers=(ACME,)), accept(CALIFORNIA, offers=(COBALT,))), {ACME, COBALT}),
    ],
)
def test_retreaver_rules_of_a_number_choose_among_offers(
    rules: tuple[NumberRule, ...], left: set[OfferId]
) -> None:
    choice = a_number(*rules).choice(a_call())
    assert choice is not None
    assert {each for each in (ACME, BEACON, COBALT) if choice.allows(each)} == left


@pytest.mark.parametrize("rules", [(), (accept(TEXAS, offers=(ACME,)),), (reject(TEXAS),)])
def test_rules_that_speak_of_other_calls_leave_every_offer(rules: tuple[NumberRule, ...]) -> None:
    assert a_number(*rules).choice(a_call()) is None


@pytest.mark.parametrize(
    ("source", "tags", "fields"),
    [
        ("pub-1", {"keyword": "brand"}, {"zip_code": "90210", "keyword": "brand"}),
        (None, {"zip_code": "10001", "page": 7}, {"zip_code": "90210", "page": 7}),
        ("pub-1", {}, {"zip_code": "90210"}),
    ],
)
def test_tags_and_source_fill_in_what_the_switch_left_out(
    source: str | None, tags: Mapping[str, FieldValue], fields: Mapping[str, FieldValue]
) -> None:
    named = None if source is None else SourceId(source)
    call = joined(a_call(source=None, fields={"zip_code": "90210"}), named, tags)
    assert (call.source, call.fields) == (source, fields)
    assert joined(a_call(), SourceId("pub-1"), {}).source == "pub-17"


def test_a_call_that_says_all_itself_stays_the_same_object() -> None:
    call = a_call()
    assert joined(call, SourceId("pub-1"), {}) is call
    unnamed = a_call(source=None)
    assert joined(unnamed, None, {}) is unnamed


def test_a_call_to_no_number_has_no_terms_of_it() -> None:
    catalogue = a_catalogue()
    assert catalogue.number_of(a_call(dialed_number=None)) is None
    assert catalogue.pool_of(a_call(dialed_number=None)) is None
    assert catalogue.number_of(a_call()) is None
    assert catalogue.pool_of(a_call()) is None
