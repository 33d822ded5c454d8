"""Times, durations, amounts and numbers as buyers write them."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from auction.cli.buyer_cells import (
    COLUMN_NAMES,
    LONGEST_ID,
    CellError,
    Times,
    read_amount,
    read_duration,
    read_id,
    read_number,
)

NEW_YORK = ZoneInfo("America/New_York")
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T17:00:00Z",
        "2026-11-20T17:00:00.000Z",
        "2026-11-20T12:00:00-05:00",
        "2026-11-20 12:00:00 -0500",
        "2026-11-20 17:00:00 +00:00",
        "2026-11-20 12:00:00",
        " 2026-11-20  12:00 ",
        "2026-11-20 17:00:00 UTC",
        "11/20/2026 17:00:00 GMT",
        "11/20/2026 12:00:00",
        "11/20/2026 12:00",
        "11/20/2026 12:00:00 PM",
        "11/20/2026, 12:00 pm",
        "11/20/26 12:00 PM",
        "2026/11/20 12:00:00",
        "20.11.2026 12:00:00",
        "Nov 20, 2026 12:00:00 PM",
        "20 Nov 2026 12:00",
        "20-Nov-2026 12:00:00.000",
        "1795194000",
        "1795194000.0",
        "1795194000000",
    ],
)
def test_usual_times_are_read_and_those_without_a_zone_are_the_operators(text: str) -> None:
    times = Times(NEW_YORK)
    assert times.read(text) == NOON
    assert times.read(text) == NOON


@pytest.mark.parametrize(
    "text",
    ["", " ", "noon", "25/04/2026 12:00", "0001-01-01", "2100-01-01", "9999999999999", "1" * 65],
)
def test_other_texts_are_no_times_and_are_not_repeated(text: str) -> None:
    with pytest.raises(CellError) as caught:
        Times(NEW_YORK).read(text)
    assert not text.strip() or text not in str(caught.value)


def test_a_format_that_is_given_is_the_only_one() -> None:
    times = Times(NEW_YORK, "%d/%m/%Y %H:%M")
    assert times.read("20/11/2026 12:00") == NOON
    with pytest.raises(CellError):
        times.read("2026-11-20T17:00:00Z")


def test_a_format_with_an_offset_keeps_it() -> None:
    assert Times(NEW_YORK, "%d/%m/%Y %H:%M %z").read("20/11/2026 17:00 +0000") == NOON


def test_a_format_that_is_none_reads_nothing() -> None:
    with pytest.raises(CellError):
        Times(NEW_YORK, "%Q").read("20")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("128", "128"),
        (" 128.5 ", "128.5"),
        ("2:08", "128"),
        ("02:08.25", "128.25"),
        ("0:02:08", "128"),
        ("24:00:00", "86400"),
        ("150:00", "9000"),
        ("", "0"),
        ("0", "0"),
    ],
)
def test_durations_are_seconds_or_clock_times(text: str, seconds: str) -> None:
    assert read_duration(text) == Decimal(seconds)


@pytest.mark.parametrize(
    "text", ["-1", "2:60", "1:2:3:4", "86401", "24:00:01", "NaN", "1e3", "2 min"]
)
def test_odd_durations_are_refused(text: str) -> None:
    with pytest.raises(CellError):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("52", "52"),
        ("$52.50", "52.5"),
        ("0", "0"),
        ("$0.00", "0"),
        ("", "0"),
        ("1.23456", "1.2345"),
    ],
)
def test_amounts_follow_the_rules_for_money_but_nothing_is_nothing(text: str, amount: str) -> None:
    assert read_amount(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["-5", "1,250.00", "10000.01", "NaN", "1e2", "52 USD"])
def test_odd_amounts_are_refused(text: str) -> None:
    with pytest.raises(CellError):
        read_amount(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+13105551234", ("+13105551234", "3105551234")),
        ("3105551234", ("+13105551234", "3105551234")),
        ("(310) 555-1234", ("+13105551234", "3105551234")),
        ("1-310-555-1234", ("+13105551234", "3105551234")),
        ("13105551234", ("+13105551234", "3105551234")),
        ("x3105551234", (None, "3105551234")),
        ("anonymous", (None, None)),
        ("", (None, None)),
        ("911", (None, None)),
    ],
)
def test_numbers_become_e164_or_at_least_their_last_ten_digits(
    text: str, number: tuple[str | None, str | None]
) -> None:
    assert read_number(text, "US") == number


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("c-1", "c-1"),
        ("'-c1", "-c1"),
        ("'+c1", "+c1"),
        ("'@c1", "@c1"),
        ("'=c1", "=c1"),
        ("'c1", "'c1"),
        ("", None),
        ("x" * 300, "x" * LONGEST_ID),
    ],
)
def test_an_id_that_was_kept_from_being_a_formula_is_itself(text: str, known: str | None) -> None:
    assert read_id(text) == known


def test_what_was_earned_is_the_likeliest_amount_and_what_a_source_gets_the_last() -> None:
    assert COLUMN_NAMES["amount"] == ("revenue", "amount", "price", "payout")
