"""YAML: plain words mean what they look like; nothing explodes; faults have lines."""

from decimal import Decimal

import pytest

from config.faults import ConfigError, Fault
from config.yaml_file import MAXIMUM_BYTES, decode, dump_yaml, load_yaml


def faults_in(text: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as raised:
        load_yaml(text)
    return raised.value.faults


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("00000", "00000"),
        ("02134", "02134"),
        ("0", 0),
        ("-7", -7),
        ("52", 52),
        ("52.50", Decimal("52.50")),
        ("0.1", Decimal("0.1")),
        ("1e400", Decimal("1E+400")),
        ("1e3", Decimal("1E+3")),
        (".5", ".5"),
        (".inf", ".inf"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("190:20:30", "190:20:30"),
        ("2026-12-25", "2026-12-25"),
        ("+18005550100", "+18005550100"),
        ("'52'", "52"),
        ('"true"', "true"),
        ("!!str 52", "52"),
        ("=", "="),
    ],
)
def test_a_scalar_means_what_it_looks_like(written: str, meant: object) -> None:
    loaded = load_yaml(f"key: {written}\n")
    assert loaded == {"key": meant}
    assert isinstance(loaded, dict)
    assert type(loaded["key"]) is type(meant)


@pytest.mark.parametrize("key", ["NO", "1", "true", "00000", "~"])
def test_a_key_is_always_text(key: str) -> None:
    assert load_yaml(f"{key}: x") == {key: "x"}


def test_duplicate_keys_are_all_told_with_their_lines() -> None:
    faults = faults_in("a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert [(fault.line, fault.message) for fault in faults] == [
        (2, "`c` stands twice in one mapping"),
        (3, "`a` stands twice in one mapping"),
    ]


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    [fault] = faults_in("\n".join(lines))
    assert "too many values" in fault.message


def test_modest_aliases_are_read() -> None:
    assert load_yaml("a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("a: &x [*x]", "without its anchor", 1),
        ("a: *x", "without its anchor", 1),
        ("a: 1\n\tb: 2", "tab", 2),
        ("a: [1", "flow sequence", 2),
        ("", "is empty", None),
        ("# nothing\n", "is empty", None),
        ("a: 1\n---\nb: 1", "more than one document", 2),
        ("a: !!python/object/apply:os.system [ls]", "tag", 1),
        ("a: !!binary aGk=", "tag", 1),
        ("a: !!int x", "tag", 1),
        ("a: 1\nb: \x01", "character that is not allowed", None),
        ("? [a]\n: b", "key that is not text", 1),
        ("a: &x {b: 1}\nc: {<<: *x}", "merge keys", 2),
        ("a: " + "1" * 101, "more than 100 characters", 1),
        ("[" * 65 + "]" * 65, "levels deep", 1),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, words: str, line: int | None) -> None:
    fault = faults_in(text)[0]
    assert words in fault.message
    assert fault.line == line


def test_a_syntax_error_never_repeats_the_file() -> None:
    assert "hunter2" not in str(faults_in("token: hunter2: hunter2\n"))


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(ConfigError, match="larger than 64 MiB"):
        decode(b"x" * (MAXIMUM_BYTES + 1))


def test_a_file_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(ConfigError, match="not UTF-8"):
        decode(b"name: M\xfcller")


def test_a_byte_order_mark_is_no_text() -> None:
    assert decode(b"\xef\xbb\xbfa: 1") == "a: 1"


def test_a_dump_reads_back_the_same() -> None:
    data = {
        "texts": ["NO", "00000", "1e3", "12:30", "2026-12-25", "+1800", "", "~", "true", "x: y"],
        "odd": ["é", "a\nb", "# x", "- x", "{x}", "*x", "&x", "!x", "%x", "0x1F", "=", "<<"],
        "values": [None, True, False, 0, -5, 10**20],
        "NO": {"00000": {}},
        "empty": [],
    }
    assert load_yaml(dump_yaml(data)) == data


def test_a_dump_keeps_the_order_of_keys_and_repeats_what_is_shared() -> None:
    shared = {"b": 1, "a": 2}
    assert dump_yaml({"y": shared, "x": shared}) == "y:\n  b: 1\n  a: 2\nx:\n  b: 1\n  a: 2\n"
