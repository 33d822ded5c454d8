"""The steps of a template's token: what each makes of a value, and of any value at all."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.template_syntax import parse_template

AT = datetime(2026, 11, 20, 17, tzinfo=UTC)


def through(steps: str, value: object) -> object:
    token = parse_template(f"{{{{ fields.x | {steps} }}}}").single_token
    assert token is not None
    return token.apply(value, AT)


@pytest.mark.parametrize(
    ("steps", "value", "result"),
    [
        ("upper", "Los Angeles", "LOS ANGELES"),
        ("upper", True, "TRUE"),
        ("lower", "CA", "ca"),
        ("lower", 5, "5"),
        ("digits", "(310) 555-1234", "3105551234"),
        ("digits", "none", None),
        ("digits", "٣", None),
        ("digits", 90210, "90210"),
        ("truncate: 5", "90210-1234", "90210"),
        ("truncate: 5", "902", "902"),
        ("bool", "YES", True),
        ("bool", "n", False),
        ("bool", 1, True),
        ("bool", False, False),
        ("bool", "perhaps", None),
        ('bool: "Y","N"', True, "Y"),
        ('bool: "Y","N"', "off", "N"),
        ('bool: "Y","N"', 2, None),
        ('date: "%m/%d/%Y"', "1980-02-29", "02/29/1980"),
        ('date: "%m/%d/%Y"', "1980-02-30", None),
        ('date: "%-m/%-d/%y"', "1980-02-09T10:11:12Z", "2/9/80"),
        ('date: "%d %B %Y"', "19800209", "09 February 1980"),
        ('date: "%b %d, %Y"', 19800209, "Feb 09, 1980"),
        ('date: "%Y-%m-%d", "%d/%m/%Y"', "09/02/1980", "1980-02-09"),
        ('date: "%Y-%m-%d", "%d %b %Y"', "9 feb 1980", "1980-02-09"),
        ('date: "%Y"', "tomorrow", None),
        ('date: "100%% %Y"', "1980-02-09", "100% 1980"),
        ("age_from_birthdate", "1980-11-20", 46),
        ("age_from_birthdate", "1980-11-21", 45),
        ("age_from_birthdate", "02/29/2024", 2),
        ("age_from_birthdate", "2026-11-21", None),
        ("age_from_birthdate", "1850-01-01", None),
        ('age_from_birthdate: "%d%m%Y"', "20111980", 46),
    ],
)
def test_a_step_makes_of_a_value(steps: str, value: object, result: object) -> None:
    made = through(steps, value)
    assert made == result
    assert type(made) is type(result)


def test_steps_apply_in_the_order_written() -> None:
    assert through("digits | truncate: 3 | default: 000", "x") == "000"
    assert through("default: 1234 | truncate: 3", None) == "123"
    assert through("upper | map: {CA: California}", "ca") == "California"


def test_an_age_needs_the_day_of_the_call() -> None:
    token = parse_template("{{ fields.x | age_from_birthdate }}").single_token
    assert token is not None
    assert token.apply("1980-11-20", None) is None
    assert token.asks_when
    assert not parse_template("{{ fields.x | upper }}").tokens[0].asks_when


STEPS = ["upper", "lower", "digits", "truncate: 7", "bool", 'bool: "Y","N"', 'date: "%Y"']
STEPS += ["age_from_birthdate", 'date: "%d", "%m/%d/%Y"', "map: {a: b}"]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=60)
    | st.dates().map(str)
    | st.datetimes().map(str)
    | st.from_regex(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}", fullmatch=True)
)


@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=3, unique_by=lambda s: s[:4]), VALUES)
def test_no_value_breaks_a_step(steps: list[str], value: object) -> None:
    made = through(" | ".join(steps), value)
    assert made is None or isinstance(made, str | bool | int)


@pytest.mark.parametrize("step", STEPS)
def test_what_is_missing_stays_missing(step: str) -> None:
    assert through(step, None) is None
    assert through(step, "") is None
