"""What the queries of lists share."""

import re

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import MultiDict

from auction.web import problems
from auction.web.paging import known_only, read_limit, read_place, write_place
from auction.web.problems import CallerMistakeError
from tests.builders import NOON

HEX = re.compile("[0-9a-f]{4}")


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.0", "", "٣", "9" * 40])
def test_a_limit_that_is_none_is_refused_with_its_range(text: str) -> None:
    with pytest.raises(CallerMistakeError) as refused:
        read_limit(MultiDict(limit=text))
    assert refused.value.kind is problems.INVALID
    [fault] = refused.value.faults
    assert (fault.path, fault.message) == ("limit", "must be a whole number from 1 to 1000")


def test_a_limit_is_a_hundred_unless_it_is_given() -> None:
    assert [read_limit(MultiDict()), read_limit(MultiDict(limit="500"), 500)] == [100, 500]


def test_a_page_ends_with_a_place_that_the_next_begins_at() -> None:
    place = (NOON, "0a1b")
    assert read_place(MultiDict(after=write_place(place)), HEX) == place
    assert read_place(MultiDict(), HEX) is None


@pytest.mark.parametrize("text", ["", "x", "1-", "-0a1b", "1-zzzz", f"{'9' * 18}-0a1b", "1-0a1b\n"])
def test_a_place_that_no_answer_gave_is_refused(text: str) -> None:
    with pytest.raises(CallerMistakeError) as refused:
        read_place(MultiDict(after=text), HEX)
    assert [each.path for each in refused.value.faults] == ["after"]


@pytest.mark.parametrize(
    ("query", "path", "message"),
    [
        ("?pgae=2", "pgae", "is not a known parameter: known are after, limit"),
        ("?a%01b=2", "a\\x01b", "is not a known parameter: known are after, limit"),
        ("?limit=1&limit=2", "limit", "must stand once"),
    ],
)
def test_a_parameter_that_means_nothing_is_refused(query: str, path: str, message: str) -> None:
    with pytest.raises(CallerMistakeError) as refused:
        known_only(make_mocked_request("GET", f"/{query}"), {"limit", "after"})
    assert [(each.path, each.message) for each in refused.value.faults] == [(path, message)]
