"""Caller ids of any shape."""

import re

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.phone import country_of, mask, normalise_number, parse_caller

COUNTRIES = st.sampled_from(["US", "CA", "GB", "DE", "gb", "", "??", "XX"])
NUMBERISH = st.from_regex(
    r"(sip:|tel:)?\+?[\d ().-]{0,20}(@[a-z.]{1,9})?(;.{0,9})?", fullmatch=True
)


@given(st.one_of(st.none(), st.text(), NUMBERISH), COUNTRIES)
def test_any_caller_id_gives_a_caller(raw: str | None, country: str) -> None:
    caller = parse_caller(raw, country)
    if caller.number is None:
        assert (caller.area_code, caller.state, caller.country) == (None, None, None)
    else:
        assert re.fullmatch(r"\+[1-9]\d{3,14}", caller.number, re.ASCII)
        assert caller.country == country_of(caller.number)
        assert (caller.area_code is not None) == caller.number.startswith("+1")


@given(st.one_of(st.text(), NUMBERISH), COUNTRIES)
def test_a_normal_number_is_its_own_normal_form(raw: str, country: str) -> None:
    number = normalise_number(raw, country)
    if number is not None:
        assert normalise_number(number, "FR") == number


@given(st.one_of(st.text(), NUMBERISH))
def test_a_mask_never_shows_more_than_area_and_two_digits(number: str) -> None:
    shown = [character for character in mask(number) if character.isdigit()]
    assert len(shown) <= 6
