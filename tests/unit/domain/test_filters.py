"""Filters: what each operator makes of what callers' fields hold."""

from typing import Any

import pytest

from auction.domain.call import Caller, FieldValue
from auction.domain.filters import CALL_FIELDS, Op, is_missing, lookup, matches, prepare
from tests.builders import a_call


def holds(value: FieldValue | None, op: Op, wanted: object) -> bool:
    """Whether a call whose field ``x`` has a value meets the condition."""
    fields: dict[str, Any] = {} if value is None else {"x": value}
    return matches(prepare("x", op, wanted), a_call(fields=fields))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("auto", "auto"),
        (" Auto ", "AUTO"),
        ("auto", "  auto"),
        ("STRASSE", "straße"),
        (90210, "90210"),
        ("90210", 90210),
        (5, 5.0),
        (5.0, "5"),
        (5.5, "5.5"),
        (1e22, "10000000000000000000000"),
        (True, True),
        (True, "true"),
        ("False", False),
    ],
)
def test_equality_ignores_case_blanks_and_whether_a_number_is_text(
    value: FieldValue, wanted: object
) -> None:
    assert holds(value, Op.EQ, wanted)
    assert holds(value, Op.IN, ["other", wanted])
    assert not holds(value, Op.NE, wanted)
    assert not holds(value, Op.NOT_IN, ["other", wanted])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("auto", "home"), ("00501", 501), ("5.0", 5), (True, 1), (1, "true"), ("auto", "auto2")],
)
def test_different_values_are_different(value: FieldValue, wanted: object) -> None:
    assert not holds(value, Op.EQ, wanted)
    assert not holds(value, Op.IN, [wanted])
    assert holds(value, Op.NE, wanted)
    assert holds(value, Op.NOT_IN, [wanted])


@pytest.mark.parametrize(
    ("value", "op", "wanted", "expected"),
    [
        (64, Op.LT, 65, True),
        (65, Op.LT, 65, False),
        (65, Op.LTE, 65, True),
        (66, Op.LTE, 65, False),
        (66, Op.GT, 65, True),
        (65, Op.GT, 65, False),
        (65, Op.GTE, "65.0", True),
        (64, Op.GTE, 65, False),
        (" 64.5 ", Op.LT, "64.51", True),
        (0.1, Op.LTE, "0.1", True),
        ("9", Op.LT, 10, True),
        (18, Op.BETWEEN, [18, 65], True),
        (65, Op.BETWEEN, (18, 65), True),
        ("17.99", Op.BETWEEN, [18, 65], False),
        (66, Op.BETWEEN, [18, 65], False),
    ],
)
def test_orderings_compare_decimals(
    value: FieldValue, op: Op, wanted: object, *, expected: bool
) -> None:
    assert holds(value, op, wanted) is expected


@pytest.mark.parametrize("op", [Op.LT, Op.LTE, Op.GT, Op.GTE])
@pytest.mark.parametrize("value", ["old", True, "1e1", "NaN", "1,000", float("inf")])
def test_what_is_no_decimal_has_no_order(op: Op, value: FieldValue) -> None:
    assert not holds(value, op, 10)


@pytest.mark.parametrize(
    ("value", "prefix", "expected"),
    [
        ("90210", "902", True),
        (90210, 902, True),
        (" 90210", "902 ", True),
        ("80210", "902", False),
        ("90", "902", False),
        ("Auto", "au", False),
    ],
)
def test_a_prefix_is_compared_as_written(
    value: FieldValue, prefix: object, *, expected: bool
) -> None:
    assert holds(value, Op.PREFIX, prefix) is expected


@pytest.mark.parametrize("blank", [None, "", "  "])
@pytest.mark.parametrize(
    ("op", "wanted"),
    [
        (Op.EQ, "a"),
        (Op.NE, "a"),
        (Op.IN, ["a"]),
        (Op.NOT_IN, ["a"]),
        (Op.LT, 1),
        (Op.LTE, 1),
        (Op.GT, 1),
        (Op.GTE, 1),
        (Op.BETWEEN, [0, 1]),
        (Op.PREFIX, "a"),
        (Op.EXISTS, True),
    ],
)
def test_a_missing_field_fails_every_operator(blank: str | None, op: Op, wanted: object) -> None:
    assert not holds(blank, op, wanted)


def test_a_missing_field_meets_only_that_it_does_not_exist() -> None:
    assert holds(None, Op.EXISTS, wanted=False)
    assert holds("  ", Op.EXISTS, wanted=False)
    assert not holds("here", Op.EXISTS, wanted=False)
    assert holds("here", Op.EXISTS, wanted=True)
    assert holds(False, Op.EXISTS, wanted=True)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("caller.state", "CA"),
        ("caller.area_code", 310),
        ("caller.country", "us"),
        ("source", "PUB-17"),
        ("dialed_number", "+18005550100"),
    ],
)
def test_facts_of_the_call_can_be_filtered(field: str, wanted: object) -> None:
    assert matches(prepare(field, Op.EQ, wanted), a_call())


def test_facts_of_a_withheld_caller_are_missing() -> None:
    call = a_call(caller=Caller(), source=None, dialed_number=None)
    assert [lookup(call, field) for field in CALL_FIELDS] == [None] * len(CALL_FIELDS)


def test_a_field_named_like_a_fact_does_not_hide_the_fact() -> None:
    assert lookup(a_call(fields={"source": "forged"}), "source") == "pub-17"


def test_zero_and_false_are_there() -> None:
    assert not is_missing(0)
    assert not is_missing(value=False)


@pytest.mark.parametrize(
    ("op", "wanted", "message"),
    [
        (Op.EQ, None, "a text, a number or a boolean"),
        (Op.EQ, " ", "a text, a number or a boolean"),
        (Op.NE, ["a"], "a text, a number or a boolean"),
        (Op.IN, "abc", "in needs a list"),
        (Op.IN, [], "not|in needs a list"),
        (Op.NOT_IN, 5, "not_in needs a list"),
        (Op.IN, ["a", None], "a text, a number or a boolean"),
        (Op.LT, "many", "lt needs a number"),
        (Op.GTE, True, "gte needs a number"),
        (Op.BETWEEN, 5, "between needs a list of two numbers"),
        (Op.BETWEEN, [1], "between needs a list of two numbers"),
        (Op.BETWEEN, [1, "x"], "between needs a number"),
        (Op.BETWEEN, [2, 1], "the lower number first"),
        (Op.PREFIX, "", "prefix needs a text"),
        (Op.EXISTS, "yes", "exists needs true or false"),
    ],
)
def test_a_value_that_does_not_suit_the_operator_is_told(
    op: Op, wanted: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare("x", op, wanted)


def test_a_filter_needs_a_field() -> None:
    with pytest.raises(ValueError, match="name of a field"):
        prepare(" ", Op.EQ, "x")


def test_equal_filters_are_equal() -> None:
    assert prepare("x", Op.IN, ["b", "A"]) == prepare(" x ", Op.IN, ["a", "B"])
