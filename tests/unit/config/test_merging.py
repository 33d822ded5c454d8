"""Merge patches as RFC 7396 has them, and secrets, which are one value."""

import pytest

from config.merging import merged


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_standard(target: object, patch: object, result: object) -> None:
    assert merged(target, patch) == result


@pytest.mark.parametrize(
    "given", [{"env": "NAME"}, {"sealed": "v1.x"}, {"keep": True}, {"secret": "x"}]
)
def test_a_secret_is_replaced_as_a_whole(given: dict[str, object]) -> None:
    assert merged({"token": {"keep": True}}, {"token": given}) == {"token": given}
    assert merged({"token": {"env": "OLD"}}, {"token": given}) == {"token": given}


def test_names_of_headers_and_parameters_are_no_secrets() -> None:
    target = {"query": {"env": "prod"}, "headers": {"X-A": {"keep": True}}}
    patch = {"query": {"secret": "x"}, "headers": {"X-A": {"env": "NAME"}}}
    assert merged(target, patch) == {
        "query": {"env": "prod", "secret": "x"},
        "headers": {"X-A": {"env": "NAME"}},
    }


def test_a_patch_changes_neither_of_what_it_is_given() -> None:
    target, patch = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merged(target, patch) == {"a": {"b": 1, "c": 2}}
    assert (target, patch) == ({"a": {"b": 1}}, {"a": {"c": 2}})
