"""The comparison of shown and seen output: it can fail."""

import pytest

from tests.docs.comparing import differences_of_json, differences_of_text


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('{"at": "2026-11-21T18:00:00.000Z"}', '{"at": "2027-01-02T03:04:05.678Z"}'),
        ('{"total_ms": 3.2}', '{"total_ms": 99}'),
        ('{"id": "tok_5f0c2d1e8a9b7c64"}', '{"id": "tok_aaaaaaaaaaaaaaaa"}'),
        ('{"a": 1, "…": "…"}', '{"a": 1, "b": 2}'),
        ('["x", "…"]', '["x", "y", "z"]'),
        ('{"token": "pp_…"}', '{"token": "pp_abc"}'),
    ],
)
def test_answers_that_agree(shown: str, seen: str) -> None:
    assert differences_of_json(shown, seen) == []


@pytest.mark.parametrize(
    ("shown", "seen", "told"),
    [
        ('{"a": 1}', '{"a": 2}', ".a: the page shows 1, seen 2"),
        ('{"a": 1}', '{"a": true}', ".a: the page shows 1, seen True"),
        ('{"a": 1}', '{"a": 1, "b": 2}', ".b: is not on the page"),
        ('{"a": 1, "b": 2}', '{"a": 1}', ".b: is not in the answer"),
        ('{"a": [1]}', '{"a": [1, 2]}', ".a: the page shows 1 entries, seen 2: [1, 2]"),
        ('{"total_ms": 1}', '{"total_ms": null}', ".total_ms: the page shows 1, seen None"),
        ('{"at": "2026-11-21T18:00:00Z"}', '{"at": null}', "seen None"),
        ('{"price": "52.00"}', '{"price": "52.0"}', "the page shows '52.00', seen '52.0'"),
        ("{}", "no", "the output is no JSON"),
    ],
)
def test_answers_that_differ(shown: str, seen: str, told: str) -> None:
    assert told in differences_of_json(shown, seen)[0]


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("one  two", "one two\n"),
        ("took 3.2 s", "took 14 s"),
        ("a\n…\nz", "a\nb\nc\nz\n"),
        ("a\n…", "a\nb\n"),
        ("wins 3 of…", "wins 3 of 7 calls"),
    ],
)
def test_lines_that_agree(shown: str, seen: str) -> None:
    assert differences_of_text(shown, seen) == []


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("one", "two"),
        ("one", ""),
        ("one", "one\ntwo"),
        ("a\n…\nz", "a\nb\n"),
        ("revenue 12", "revenue 13"),
    ],
)
def test_lines_that_differ(shown: str, seen: str) -> None:
    assert differences_of_text(shown, seen)


def test_words_that_vary_stay_of_their_kind() -> None:
    assert differences_of_text("won 41.7 of 3", "won 17.0 of 3", ["41.7"]) == []
    assert differences_of_text("won 41.7 of 3", "won no of 3", ["41.7"])
    assert differences_of_text("won 41.7 of 3", "won 41.7 of 4", ["41.7"])
