"""What tells a repeat from other content."""

import pytest

from auction.web.bodies import JsonObject, fingerprint


def of(content: JsonObject) -> bytes:
    return fingerprint(content, lambda plain: plain)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"fields": {"age": 30}}, {"fields": {"age": 30.0}}),
        ({"connected_duration_s": 10}, {"connected_duration_s": 10.0}),
    ],
)
def test_the_same_content_written_otherwise_is_the_same(one: JsonObject, same: JsonObject) -> None:
    assert of(one) == of(same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": 1.5}),
        ({"a": 1}, {"a": True}),
        ({"a": 1e300}, {"a": 1e299}),
        ({"fields": {"age": 30}}, {"fields": {"age": 31}}),
    ],
)
def test_other_content_is_other_content(one: JsonObject, other: JsonObject) -> None:
    assert of(one) != of(other)
