"""JSON is read exactly, and nothing in it is taken silently."""

from decimal import Decimal

import pytest

from config.faults import ConfigError
from config.json_file import load_json


def test_numbers_are_exact() -> None:
    assert load_json('{"a": 52.10, "b": 7, "c": 1e400}') == {
        "a": Decimal("52.10"),
        "b": 7,
        "c": Decimal("1e400"),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "`a` stands twice"),
        ('{"a": NaN}', "no number"),
        ('{"a": -Infinity}', "no number"),
        ('{"a": ' + "1" * 101 + "}", "more than 100 characters"),
        ('{"a": ' + "1" * 5000 + "}", "more than 100 characters"),
        ("[" * 100 + "]" * 100, "levels deep"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"a": }', "not JSON"),
        ("", "not JSON"),
        (b'{"a": "\xff"}', "UTF-8"),
    ],
)
def test_what_is_not_plain_json_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_json(text)


def test_a_syntax_error_has_its_line() -> None:
    with pytest.raises(ConfigError) as raised:
        load_json('{\n"a": 1,\n}')
    assert raised.value.faults[0].line == 3
