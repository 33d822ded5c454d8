"""Dates read and written."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auction.domain.dates import USUAL, age_on, date_format, read_date


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2001-02-03", date(2001, 2, 3)),
        (" 2001/02/03 ", date(2001, 2, 3)),
        ("2/3/2001", date(2001, 2, 3)),
        ("02-03-2001", date(2001, 2, 3)),
        ("03.02.2001", date(2001, 2, 3)),
        ("20010203", date(2001, 2, 3)),
        (20010203, date(2001, 2, 3)),
        ("2001-02-03T04:05:06+01:00", date(2001, 2, 3)),
        ("2001-02-30", None),
        ("13/13/2001", None),
        ("", None),
        ("x" * 100, None),
        (True, None),
        (-1, None),
        (10**9, None),
        (1.5, None),
        (None, None),
    ],
)
def test_a_usual_date_is_read(value: object, day: date | None) -> None:
    assert read_date(value) == day


@pytest.mark.parametrize(
    ("text", "written", "day"),
    [
        ("3 Feb 01", "%d %b %y", date(2001, 2, 3)),
        ("3 February 70", "%d %B %y", date(1970, 2, 3)),
        ("3 Fbr 70", "%d %B %y", None),
        ("2001 %", "%Y %%", None),
        ("02/2001", "%m/%Y", None),
        ("02/03", "%m/%d", None),
        ("03/2001", "%d/%Y", None),
    ],
)
def test_a_date_is_read_as_somebody_says(text: str, written: str, day: date | None) -> None:
    assert read_date(text, date_format(written)) == day


@pytest.mark.parametrize("text", ["%H", "%", "%Y %Y", "%m %-m", "no parts", "%Y" + "x" * 40, "%-Y"])
def test_a_format_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="format"):
        date_format(text)


@given(st.dates(min_value=date(1900, 1, 1)), st.sampled_from(USUAL))
def test_what_is_written_is_read_again(day: date, written: object) -> None:
    assert written in USUAL
    for each in USUAL:
        assert read_date(each.write(day), each) == day
        assert read_date(each.write(day)) == day


@given(st.dates(), st.dates())
def test_an_age_grows_by_a_year_each_birthday(birthdate: date, today: date) -> None:
    age = age_on(birthdate, today)
    if birthdate > today:
        assert age is None
    elif age is not None:
        assert 0 <= age <= 130
        assert age <= (today - birthdate).days / 365
        assert age >= (today - birthdate).days // 366 - 1
    else:
        assert (today - birthdate).days > 130 * 365
