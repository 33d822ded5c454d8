"""Phone numbers: read what switches and buyers send, tell where they are, hide them."""

import re
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, ValidationResult

from auction.domain.area_codes import place_of
from auction.domain.call import Caller

_LONGEST_TEXT: Final = 250
_SCHEME: Final = re.compile(r"(?:sips?|tel):", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+\uFF0B]?[\d ().\-/\u00A0\u2010-\u2015]+")
_NORTH_AMERICAN: Final = re.compile(r"\+1([2-9]\d\d)(\d{3})\d{4}", re.ASCII)
_TEN_DIGITS: Final = re.compile(r"[2-9]\d{9}", re.ASCII)
_NORTH_AMERICAN_CODE: Final = 1
_WITHHELD: Final = Caller()
_HIDDEN: Final = "*****"


def parse_caller(raw: str | None, default_country: str) -> Caller:
    """Who calls, from the switch's words; a withheld caller for anything that is no phone number.

    Takes E.164, national numbers of ``default_country`` (ISO alpha-2), and SIP or tel addresses
    whose user part is a number. Never raises.
    """
    number = None if raw is None else normalise_number(raw, default_country)
    if number is None:
        return _WITHHELD
    match = _NORTH_AMERICAN.fullmatch(number)
    if match is None:
        return Caller(number, country=country_of(number))
    area_code, exchange = match.groups()
    place = place_of(area_code, exchange)
    return Caller(number, area_code, place.state, place.country)


def normalise_number(raw: str, default_country: str) -> str | None:
    """The E.164 form of a number; None when it is none. Never raises.

    A number is judged by its length and shape alone: callers with codes newer than our tables are
    callers.
    """
    text = raw if len(raw) <= _LONGEST_TEXT else ""
    if _NORTH_AMERICAN.fullmatch(text):
        return text
    text = _user_part(text)
    if _NUMBER.fullmatch(text) is None:
        return None
    return _parse(text, default_country.upper())


def _user_part(text: str) -> str:
    """What names the callee in ``sip:user@host;parameters``, or the trimmed text itself."""
    text = text.strip()
    scheme = _SCHEME.match(text)
    if scheme is not None:
        text = text[scheme.end() :]
    return text.partition("@")[0].partition(";")[0].strip()


def _parse(text: str, country: str) -> str | None:
    if country in {"US", "CA"} and _TEN_DIGITS.fullmatch(text):
        return f"+1{text}"
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    formatted = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if number.country_code == _NORTH_AMERICAN_CODE and not _NORTH_AMERICAN.fullmatch(formatted):
        return None
    return formatted


def country_of(number: str) -> str | None:
    """The ISO alpha-2 country of an E.164 number; None when its code tells none."""
    match = _NORTH_AMERICAN.fullmatch(number)
    if match is not None:
        area_code, exchange = match.groups()
        return place_of(area_code, exchange).country
    try:
        parsed = phonenumbers.parse(number)
    except NumberParseException:
        return None
    regions = phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    region = regions[0] if len(regions) == 1 else phonenumbers.region_code_for_number(parsed)
    return region if region != phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY else None


def mask(number: str) -> str:
    """The number with all hidden but country, area code and the last two digits: ``+1310*****34``.

    Outside North America only the last two stay; a text that is no E.164 number is hidden whole.
    """
    if _NORTH_AMERICAN.fullmatch(number):
        return f"{number[:5]}{_HIDDEN}{number[-2:]}"
    if re.fullmatch(r"\+\d{7,15}", number, re.ASCII):
        return f"+{_HIDDEN}{number[-2:]}"
    return _HIDDEN
