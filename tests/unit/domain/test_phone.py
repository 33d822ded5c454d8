"""Callers and numbers, as odd as switches send them."""

import pytest
from phonenumbers import PhoneNumber, geocoder, region_code_for_number

from auction.domain.area_codes import place_of
from auction.domain.call import Caller
from auction.domain.phone import country_of, mask, normalise_number, parse_caller

CALIFORNIAN = Caller("+13105551234", "310", "CA", "US")


@pytest.mark.parametrize(
    "raw",
    [
        "+13105551234",
        "13105551234",
        "3105551234",
        "(310) 555-1234",
        "+1 310.555.1234",
        "  +13105551234 ",
        "sip:+13105551234@switch.example",
        "sips:3105551234@switch.example;transport=tls",
        "SIP:+13105551234;user=phone@host",
        "tel:+1-310-555-1234",
        "+13105551234@10.0.0.1:5060",
        "＋1 310 555 1234",
        "３１０５５５１２３４",
    ],
)
def test_a_caller_is_known_however_the_number_is_written(raw: str) -> None:
    assert parse_caller(raw, "US") == CALIFORNIAN


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        " ",
        "anonymous",
        "Anonymous",
        "restricted",
        "unavailable",
        "private",
        "unknown",
        "null",
        "sip:anonymous@anonymous.invalid",
        "sip:",
        "+",
        "0",
        "12345",
        "5551234",
        "+1555",
        "10000000000",
        "+10000000000",
        "+11105551234",
        "+9991234567890",
        "+131055512345678",
        "310555\x001234",
        "310-555-1234\r\nX-Header: 1",
        "310 555 1234 ext 5",
        "1-800-FLOWERS",
        "alice",
        "9" * 100_000,
        "+" * 300,
        "\ud800",
        "\N{PILE OF POO}",
        "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍",
    ],
)
def test_what_is_no_phone_number_is_a_withheld_caller(raw: str | None) -> None:
    caller = parse_caller(raw, "US")
    assert caller == Caller()
    assert caller.withheld


@pytest.mark.parametrize(
    ("number", "area_code", "state", "country"),
    [
        ("+12125551234", "212", "NY", "US"),
        ("+12025550100", "202", "DC", "US"),
        ("+12065551234", "206", "WA", "US"),
        ("+18085551234", "808", "HI", "US"),
        ("+14165551234", "416", "ON", "CA"),
        ("+19022345678", "902", "NS", "CA"),
        ("+19023681234", "902", "PE", "CA"),
        ("+18676691234", "867", "NT", "CA"),
        ("+18679791234", "867", "NU", "CA"),
        ("+18676671234", "867", "YT", "CA"),
        ("+18672345678", "867", None, "CA"),
        ("+16005551234", "600", None, "CA"),
        ("+17875551234", "787", "PR", "PR"),
        ("+16715551234", "671", "GU", "GU"),
        ("+18765551234", "876", None, "JM"),
        ("+18005550100", "800", None, "US"),
        ("+15555551234", "555", None, "US"),
    ],
)
def test_a_north_american_number_tells_its_place(
    number: str, area_code: str, state: str | None, country: str
) -> None:
    assert parse_caller(number, "US") == Caller(number, area_code, state, country)


@pytest.mark.parametrize(
    ("raw", "default_country", "number", "country"),
    [
        ("+44 20 7183 8750", "US", "+442071838750", "GB"),
        ("020 7183 8750", "GB", "+442071838750", "GB"),
        ("020 7183 8750", "gb", "+442071838750", "GB"),
        ("011 44 20 7183 8750", "US", "+442071838750", "GB"),
        ("+4930123456", "US", "+4930123456", "DE"),
        ("+7 701 511 1234", "US", "+77015111234", "KZ"),
        ("+800 1234 5678", "US", "+80012345678", None),
    ],
)
def test_a_number_from_elsewhere_tells_its_country(
    raw: str, default_country: str, number: str, country: str | None
) -> None:
    assert parse_caller(raw, default_country) == Caller(number, country=country)


def test_a_national_number_without_a_known_country_is_withheld() -> None:
    assert parse_caller("02071838750", "??").withheld


def test_a_dialled_number_gets_its_international_form() -> None:
    assert normalise_number("(800) 555-0100", "US") == "+18005550100"
    assert normalise_number("not a number", "US") is None


@pytest.mark.parametrize("number", ["", "nonsense", "+", "+999123456789"])
def test_what_is_no_number_has_no_country(number: str) -> None:
    assert country_of(number) is None


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+13105551234", "+1310*****34"),
        ("+442071838750", "+*****50"),
        ("3105551234", "*****"),
        ("", "*****"),
        ("anonymous", "*****"),
    ],
)
def test_a_masked_number_keeps_the_area_and_two_digits(number: str, masked: str) -> None:
    assert mask(number) == masked


def test_the_area_codes_agree_with_the_library() -> None:
    numbers = [
        PhoneNumber(country_code=1, national_number=area * 10_000_000 + exchange * 10_000 + 1234)
        for area in range(200, 1000)
        for exchange in range(200, 1000, 111)
    ]
    wrong = [number.national_number for number in numbers if not _agrees(number)]
    assert wrong == []


def _agrees(number: PhoneNumber) -> bool:
    text = str(number.national_number)
    place = place_of(text[:3], text[3:6])
    region = region_code_for_number(number)
    named = geocoder.description_for_number(number, "en").rpartition(", ")[2]
    state = named if len(named) == 2 else _STATES.get(named)
    return region in {None, place.country} and state in {None, place.state}


_STATES = {
    "California": "CA",
    "New York": "NY",
    "Texas": "TX",
    "Florida": "FL",
    "Ontario": "ON",
    "Quebec": "QC",
    "Washington State": "WA",
    "Washington D.C.": "DC",
}
