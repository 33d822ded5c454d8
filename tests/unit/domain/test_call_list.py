"""What lists of calls are made of."""

from dataclasses import fields
from datetime import timedelta
from decimal import Decimal

from auction.domain.call_list import (
    CallFilter,
    CallOutcome,
    CallPage,
    CallPlace,
    RecordedEntry,
)
from auction.domain.conversions import Entry, EntryKind, Side
from auction.domain.ids import CallId
from auction.domain.plan import RoutedBy
from auction.domain.terms import Trigger
from tests.builders import NOON


def test_a_filter_narrows_nothing_by_itself_but_leaves_test_calls_out() -> None:
    narrowing = {each.name: getattr(CallFilter(), each.name) for each in fields(CallFilter)}
    assert narrowing.pop("test") is False
    assert set(narrowing.values()) == {None}


def test_each_way_of_routing_is_an_outcome() -> None:
    assert {each.value for each in RoutedBy} < {each.value for each in CallOutcome}


def test_a_page_without_calls_may_have_a_next() -> None:
    page = CallPage((), CallPlace(NOON, CallId("c-1")))
    assert page.next == CallPlace(NOON, CallId("c-1"))


def test_when_an_entry_was_written_is_apart_from_when_it_happened() -> None:
    entry = Entry(
        call_id=CallId("c-1"),
        side=Side.BUYER,
        attempt=1,
        kind=EntryKind.BOOKED,
        trigger=Trigger.ANSWERED,
        amount=Decimal(1),
        change=Decimal(1),
        at=NOON,
        actor="switch",
    )
    later = NOON + timedelta(seconds=1)
    assert RecordedEntry(entry, later).recorded_at - entry.at == timedelta(seconds=1)
