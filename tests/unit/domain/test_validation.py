"""What an offer demands of a call's fields, and of the caller's consent."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auction.domain.call import FieldValue
from auction.domain.eligibility import Refusal, fixed_refusal
from auction.domain.filters import Op, prepare
from auction.domain.flags import read_flag
from auction.domain.reasons import Reason
from auction.domain.terms import Segment
from auction.domain.validation import (
    Consent,
    Requirement,
    Validation,
    ValueType,
    read_moment,
)
from tests.builders import NOON, a_call, an_offer

ONE, FIVE = Decimal(1), Decimal(5)
ANY_VALUE = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=60),
    st.datetimes(timezones=st.sampled_from([None, UTC])).map(str),
    st.from_regex(r"[0-9()+. -]{1,20}", fullmatch=True),
)


def holds(value: FieldValue, kind: str, **bounds: Any) -> bool:
    return Validation("x", ValueType(kind), **bounds).fault(value, NOON) is None


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["x", 5, True], []),
        ("integer", [5, "5", "-5", "5.0", 5.0], ["x", "5.5", True, ""]),
        ("decimal", ["5.5", 5.5, 5], ["x", "1e5", True]),
        ("date", ["2026-01-31", "01/31/2026", 20260131], ["2026-02-30", "x", True]),
        (
            "email",
            ["jo@x.example", "a.b+c@d.e.example"],
            ["jo", "jo@x", "jo@@x.example", "a b@c.d"],
        ),
        ("phone", ["+13105551234", "(310) 555-1234", 3105551234], ["5551234", "x", True]),
        ("zip", ["90210", "90210-1234", "902101234", 90210], ["9021", 501, "90210-", "x"]),
        ("state", ["CA", "ca", " NY ", "ON", "PR"], ["XX", "California", True]),
        ("boolean", ["yes", "N", 1, 0, True, "off"], ["perhaps", 2, ""]),
    ],
)
def test_a_type_takes_what_it_can_read(
    kind: str, good: list[FieldValue], bad: list[FieldValue]
) -> None:
    assert [value for value in good if not holds(value, kind)] == []
    assert [value for value in bad if holds(value, kind)] == []


def test_bounds_hold_both_ends() -> None:
    for kind in ("integer", "decimal"):
        taken = [v for v in range(8) if holds(v, kind, minimum=ONE, maximum=FIVE)]
        assert taken == [1, 2, 3, 4, 5]
    taken_texts = [n for n in range(8) if holds("x" * n, "string", minimum=ONE, maximum=FIVE)]
    assert taken_texts == [1, 2, 3, 4, 5]
    assert holds(9, "integer", minimum=ONE)
    assert not holds(0, "integer", minimum=ONE)
    assert holds(-9, "integer", maximum=FIVE)


def test_dates_have_bounds_too() -> None:
    first, last = date(1950, 1, 1), date(2008, 12, 31)
    for text, taken in (("1949-12-31", False), ("01/01/1950", True), ("2009-01-01", False)):
        assert holds(text, "date", minimum=first, maximum=last) is taken


def test_a_pattern_must_match_as_well() -> None:
    matches = re.compile(r"[A-Z]\d+").fullmatch
    assert holds(" A12 ", "string", matches=matches, maximum=FIVE)
    assert not holds("A12345", "string", matches=matches, maximum=FIVE)
    assert not holds("12", "string", matches=matches)


def test_a_missing_field_is_not_judged() -> None:
    assert Validation("x", ValueType.EMAIL).fault(None, NOON) is None


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("value", "age", "fault"),
    [
        (None, DAY, Reason.CONSENT_MISSING),
        (None, None, Reason.CONSENT_MISSING),
        ("yes", None, None),
        (True, None, None),
        ("no", None, Reason.CONSENT_MISSING),
        ("yes", DAY, Reason.CONSENT_MISSING),
        ("2026-11-20T16:59:59Z", DAY, None),
        ("2026-11-19T17:00:00Z", DAY, None),
        ("2026-11-19T16:59:59Z", DAY, Reason.CONSENT_EXPIRED),
        ("2026-11-20T18:00:00+01:00", DAY, None),
        ("2026-11-20T12:00:00-05:00", DAY, None),
        ("2026-11-20 17:00:00", DAY, None),
        ("2026-11-20", DAY, None),
        ("2026-11-19", DAY, Reason.CONSENT_EXPIRED),
        ("2020-01-01", None, None),
        ("2026-11-20T17:04:59Z", DAY, None),
        ("2026-11-20T17:05:01Z", DAY, Reason.CONSENT_MISSING),
        ("2026-11-20T17:05:01Z", None, Reason.CONSENT_MISSING),
        (int(NOON.timestamp()) - 3600, DAY, None),
        (str(int(NOON.timestamp()) - 3600), DAY, None),
        ((int(NOON.timestamp()) - 3600) * 1000, DAY, None),
        (int(NOON.timestamp()) - 100_000, DAY, Reason.CONSENT_EXPIRED),
        (5, DAY, Reason.CONSENT_MISSING),
        (True, DAY, Reason.CONSENT_MISSING),
        ("x" * 50, DAY, Reason.CONSENT_MISSING),
    ],
)
def test_consent_is_there_and_not_too_old(
    value: FieldValue | None, age: timedelta | None, fault: Reason | None
) -> None:
    assert Consent("consent_at", age).fault(value, NOON) is fault


@given(ANY_VALUE)
def test_any_value_of_a_field_is_judged(value: FieldValue) -> None:
    requirements: list[Requirement] = [Validation("x", kind) for kind in ValueType]
    requirements += [Consent("x"), Consent("x", DAY)]
    for requirement in requirements:
        fault = requirement.fault(value, NOON)
        assert fault is None or isinstance(fault, Reason)


@pytest.mark.parametrize("seconds", [253_402_300_800, 999_999_999_999, 253_402_300_800.0])
def test_seconds_after_the_last_year_tell_no_moment(seconds: float) -> None:
    assert read_moment(seconds) is None
    assert read_moment(str(seconds)) is None
    assert Consent("x").fault(seconds, NOON) is Reason.CONSENT_MISSING


def test_the_last_second_is_a_moment() -> None:
    assert read_moment(253_402_300_799) == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(2002, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - a moment without its zone is what is read
def test_a_moment_reads_alike_in_every_form(moment: datetime) -> None:
    whole = moment.replace(microsecond=0, tzinfo=UTC)
    seconds = int(whole.timestamp())
    for form in (whole.isoformat(), seconds, str(seconds), seconds * 1000, float(seconds)):
        assert read_moment(form) == whole


def test_a_flag_says_yes_no_or_neither() -> None:
    assert [read_flag(value) for value in (True, "T", 1.0)] == [True, True, True]
    assert [read_flag(value) for value in (False, " NO ", 0)] == [False, False, False]
    assert [read_flag(value) for value in (None, "x" * 99, 2, "maybe")] == [None] * 4


def test_a_refusal_names_the_field_and_never_its_value() -> None:
    call = a_call(fields={"zip_code": "secret", "consent_at": "2020-01-01"})
    zip_code = Validation("zip_code", ValueType.ZIP)
    invalid = fixed_refusal(call, an_offer(requirements=(zip_code,)))
    expired = fixed_refusal(call, an_offer(requirements=(Consent("consent_at", DAY),)))

    assert invalid == Refusal(Reason.INVALID_FIELD, "zip_code")
    assert expired == Refusal(Reason.CONSENT_EXPIRED, "consent_at")


def test_calls_of_a_segment_are_refused_by_those_outside_it() -> None:
    when = (prepare("age", Op.GTE, 65), prepare("caller.state", Op.EQ, "CA"))
    outside = an_offer(outside=(Segment("medicare or senior", when),))

    assert fixed_refusal(a_call(fields={"age": 64}), outside) is None
    assert fixed_refusal(a_call(fields={}), outside) is None
    assert fixed_refusal(a_call(fields={"age": 65}), outside) == Refusal(
        Reason.OUTSIDE_SEGMENT, "medicare or senior"
    )
