"""Compiled and indexed, or read term by term: the same offers are refused, for the same reason."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from unittest.mock import patch
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from auction.domain import offer_index
from auction.domain.call import Call, Caller, FieldValue
from auction.domain.call_view import CallView
from auction.domain.compiled import Compiler
from auction.domain.eligibility import fixed_refusal, switched_off
from auction.domain.filters import Filter, Op, matches, prepare
from auction.domain.hours import ALWAYS_OPEN, Hours, parse_weekly
from auction.domain.ids import OfferId, SourceId
from auction.domain.offer_index import OfferIndex
from auction.domain.offer_tree import SPLIT_ABOVE
from auction.domain.terms import BuyerType, OfferTerms, Segment
from auction.domain.validation import Consent, Requirement, Validation, ValueType
from tests.builders import a_call, an_offer, ping_post

FIELDS = ["caller.state", "caller.area_code", "source", "zip_code", "age", "vertical"]
TEXTS = [
    "90210",
    "90001",
    "9",
    " CA",
    "ca",
    "straße",
    "STRASSE",
    "true",
    "5",
    "5.0",
    "pub-17",
    "",
    "2026-11-01",
]
VALUES: st.SearchStrategy[FieldValue] = st.one_of(
    st.sampled_from(TEXTS), st.integers(3, 7), st.sampled_from([4.5, 5.0, 1e22]), st.booleans()
)
SOURCES = [SourceId("pub-17"), SourceId("pub-18")]
ZONES = [ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("UTC")]
WEEKS = [
    ALWAYS_OPEN,
    parse_weekly({"mon-fri": ["08:00-12:00", "13:00-18:00"]}),
    parse_weekly({"sat-sun": ["22:00-04:00"]}),
]
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
"""The day on which New York leaves summer time."""

DATES = [date(2026, 11, 1), date(2026, 11, 3)]


def _filters() -> st.SearchStrategy[Filter]:
    fields, plain = st.sampled_from(FIELDS), VALUES.filter(lambda value: str(value).strip() != "")
    numbers = st.integers(3, 7)
    between = st.tuples(numbers, numbers).map(sorted)
    return st.one_of(
        st.builds(prepare, fields, st.sampled_from([Op.EQ, Op.NE, Op.PREFIX]), plain),
        st.builds(
            prepare,
            fields,
            st.sampled_from([Op.IN, Op.NOT_IN]),
            st.lists(plain, min_size=1, max_size=4),
        ),
        st.builds(prepare, fields, st.sampled_from([Op.LT, Op.LTE, Op.GT, Op.GTE]), numbers),
        st.builds(prepare, fields, st.just(Op.BETWEEN), between),
        st.builds(prepare, fields, st.just(Op.EXISTS), st.booleans()),
    )


HOURS = st.builds(
    Hours,
    st.sampled_from(ZONES),
    st.sampled_from(WEEKS),
    st.frozensets(st.sampled_from(DATES), max_size=1),
)
BOUNDS = st.one_of(st.none(), st.integers(0, 6).map(Decimal))
REQUIREMENTS: st.SearchStrategy[Requirement] = st.one_of(
    st.builds(Validation, st.sampled_from(FIELDS), st.sampled_from(ValueType), BOUNDS, BOUNDS),
    st.builds(Consent, st.sampled_from(FIELDS), st.sampled_from([None, timedelta(days=1)])),
)
SEGMENTS = st.builds(Segment, st.just("gold"), st.lists(_filters(), min_size=1, max_size=2))
OFFERS = st.builds(
    an_offer,
    requirements=st.lists(REQUIREMENTS, max_size=1).map(tuple),
    outside=st.lists(SEGMENTS.map(lambda s: replace(s, when=tuple(s.when))), max_size=1).map(tuple),
    buyer_type=st.sampled_from([BuyerType.BUYER, BuyerType.BUYER, BuyerType.VOICE_BOT]),
    enabled=st.sampled_from([True, True, True, False]),
    buyer_enabled=st.sampled_from([True, True, True, False]),
    ping_post=st.sampled_from([ping_post(), ping_post(), None]),
    hours=st.one_of(st.none(), HOURS),
    blocked_sources=st.frozensets(st.sampled_from(SOURCES), max_size=1),
    required_fields=st.lists(st.sampled_from(FIELDS), max_size=2).map(tuple),
    filters=st.lists(_filters(), max_size=3).map(tuple),
)
CALLS = st.builds(
    a_call,
    caller=st.builds(
        Caller,
        area_code=st.sampled_from([None, "310", "900"]),
        state=st.sampled_from([None, "CA", "NY"]),
    ),
    source=st.sampled_from([None, *SOURCES]),
    fields=st.dictionaries(st.sampled_from(FIELDS), VALUES),
    received_at=st.integers(0, 7 * 24 * 60).map(lambda minutes: FIRST + timedelta(minutes=minutes)),
)


def numbered(offers: Sequence[OfferTerms]) -> list[OfferTerms]:
    return [replace(each, id=OfferId(f"o-{place:04}")) for place, each in enumerate(offers)]


@given(CALLS, OFFERS.filter(lambda offer: switched_off(offer) is None))
def test_a_compiled_offer_refuses_what_its_terms_refuse_and_says_the_same(
    call: Call, offer: OfferTerms
) -> None:
    assert Compiler().compile(offer).fixed_refusal(CallView(call)) == fixed_refusal(call, offer)


@given(CALLS, _filters())
def test_a_compiled_filter_lets_through_what_the_filter_lets_through(
    call: Call, condition: Filter
) -> None:
    compiled = Compiler().compile(an_offer(filters=(condition,)))
    assert (compiled.fixed_refusal(CallView(call)) is None) is matches(condition, call)


@given(CALLS, st.lists(OFFERS, max_size=4 * SPLIT_ABOVE).map(numbered))
def test_the_index_finds_every_offer_that_may_be_asked_in_the_order_of_the_campaign(
    call: Call, offers: list[OfferTerms]
) -> None:
    index, view = OfferIndex.of(offers, Compiler()), CallView(call)
    found = [each.terms.id for each in index.candidates(view)]
    assert found == sorted(set(found)), "each once, in order"
    allowed = [each for each in offers if fixed_refusal(call, each) is None]
    assert [each.terms for each in index.allowed(view)] == allowed


LAYERED = st.lists(st.lists(st.tuples(st.integers(0, 39), OFFERS), max_size=6), max_size=4)


@given(CALLS, CALLS, st.lists(OFFERS, min_size=8, max_size=40).map(numbered), LAYERED)
def test_an_index_that_has_followed_changes_says_what_a_new_one_says(
    call: Call,
    later: Call,
    offers: list[OfferTerms],
    revisions: list[list[tuple[int, OfferTerms]]],
) -> None:
    index = OfferIndex.of(offers, Compiler())
    with patch.multiple(offer_index, ANEW_UP_TO=0, MOST_CHANGED=1):
        for changed in revisions:
            by_id = {each.id: each for each in offers}
            for place, offer in changed:
                offer_id = OfferId(f"o-{place:04}")
                if by_id.pop(offer_id, None) is None or offer.weight != 1:
                    by_id[offer_id] = replace(offer, id=offer_id)
            offers = [by_id[key] for key in sorted(by_id)]
            index = index.updated(offers)
    new = OfferIndex.of(offers, Compiler())
    before, now = CallView(call), CallView(replace(call, received_at=later.received_at))
    assert [each.terms for each in index.allowed(before)] == [
        each.terms for each in new.allowed(before)
    ]
    assert {each.id for each in index.turned(before, now)} == {
        each.id for each in new.turned(before, now)
    }
    assert [each.terms for each in index.anew().allowed(before)] == [
        each.terms for each in index.allowed(before)
    ]


@given(CALLS, CALLS, st.lists(OFFERS, max_size=8).map(numbered))
def test_what_the_clock_has_changed_is_told_and_the_terms_tell_the_rest(
    call: Call, later: Call, offers: list[OfferTerms]
) -> None:
    now = replace(call, received_at=later.received_at)
    index = OfferIndex.of(offers, Compiler())
    turned = {each.terms.id for each in index.turned(CallView(call), CallView(now))}
    for offer in offers:
        if offer.id not in turned:
            assert fixed_refusal(now, offer) == fixed_refusal(call, offer)
