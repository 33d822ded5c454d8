"""The kinds of values a marketplace file is made of, each with its bounds."""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, TypeVar
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from phonenumbers import SUPPORTED_REGIONS
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from auction.domain.phone import normalise_number
from config.faults import mistake
from config.meanings import meaning_of
from config.template_syntax import TemplateError, parse_template

MAXIMUM_ENTRIES = 10_000
MAXIMUM_TEMPLATE = 65_536
DEFAULT_COUNTRY = "US"
"""Where numbers without a country code belong."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,10})?")
_SIP = re.compile(r"sips?:[^\s@<>\"]*@?[^\s@<>\"]+", re.IGNORECASE)
_TEL = re.compile(r"tel:\+[1-9][0-9]{6,14}(;[A-Za-z0-9=.\-]{1,64}){0,4}")
_URL_TEXT = re.compile(r"[!-z|~]+")


class Model(BaseModel):
    """What every part shares: immutable, no unknown keys, no value in an error's text."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The usual schema, with what each key means."""
        reference = handler(core_schema)
        for key, schema in handler.resolve_ref_schema(reference).get("properties", {}).items():
            meaning = meaning_of(cls, key)
            if meaning is not None:
                schema.setdefault("description", meaning)
        return reference


def _none_as_empty(value: object) -> object:
    return () if value is None else value


def _no_control(text: str) -> str:
    if _CONTROL.search(text):
        raise mistake("must not contain control characters")
    return text


def read_number(value: object) -> Decimal:
    """A whole number, Decimal or text as an exact number; anything else, floats too, raises."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**15 else ""
    if isinstance(value, Decimal):
        value = format(value, "f") if value.is_finite() and -40 < value.adjusted() < 15 else ""
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        return Decimal(value)
    raise mistake('must be a number such as 52 or "52.50"')


def _read_amount(value: object) -> Decimal:
    amount = read_number(value)
    exponent = amount.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -4:
        raise mistake("must have at most 4 decimals")
    return amount


@lru_cache(maxsize=1024)
def _zone_exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def _known_zone(name: str) -> str:
    if not _zone_exists(name):
        raise mistake("is not a known time zone: write one such as America/New_York")
    return name


def _known_country(code: str) -> str:
    if code not in SUPPORTED_REGIONS:
        raise mistake("must be a country's two capital letters such as US")
    return code


def _phone_number(text: str) -> str:
    if _E164.fullmatch(text):
        return text
    if "*" in text:
        raise mistake("is masked: only a token with scope pii reads it in full, to send it back")
    normalised = normalise_number(text, DEFAULT_COUNTRY)
    if normalised is None:
        raise mistake("is not a phone number: write it with its country such as +18005550100")
    return normalised


def _destination_uri(text: str) -> str:
    if not (_SIP.fullmatch(text) or _TEL.fullmatch(text)):
        raise mistake("must be sip:user@host, sips:user@host or tel:+18005550100")
    return text


def _url(text: str) -> str:
    if "{{" in text:
        raise mistake("must not contain tokens: put them into query, headers or body")
    if not _URL_TEXT.fullmatch(text):
        raise mistake("must not contain spaces, control or other characters that need escaping")
    _check_parts(_split(text))
    return text


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise mistake("is not a URL: the host or port can't be read") from error
    if port == 0:
        raise mistake("must not name port 0")
    return parts


def _check_parts(parts: SplitResult) -> None:
    if parts.scheme not in {"http", "https"}:
        raise mistake("must start with http:// or https://")
    if "@" in parts.netloc:
        raise mistake("must not carry a user or password: use auth")
    if not parts.hostname:
        raise mistake("names no host")
    if parts.fragment:
        raise mistake("must not have a fragment (#)")


def _template(text: str) -> str:
    try:
        parse_template(text)
    except TemplateError as error:
        raise mistake(str(error)) from error
    return text


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise mistake("must be a date such as 2026-12-25") from error
    return text


def _capital(text: str) -> str:
    if not (len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()):
        raise mistake("must be three capital letters such as USD")
    return text


_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:\-]{1,64}")


def is_identifier(text: str) -> bool:
    """Whether a text can be an id."""
    return _IDENTIFIER.fullmatch(text) is not None


def check_identifier(text: str) -> str:
    """The text if it is an id. Raises a mistake."""
    if not is_identifier(text):
        raise mistake("must be 1 to 64 letters, digits or any of _ . : -")
    return text


def _digits(text: str) -> str:
    if not re.fullmatch(r"[0-9A-D*#,wWpP]{1,64}", text):
        raise mistake("must be 1 to 64 of the digits 0-9, A-D, * and #, with w, p or , for pauses")
    return text


def _field_name(text: str) -> str:
    if not text or text != text.strip():
        raise mistake("must be a field's name, without spaces around it")
    return text


def split_names(value: object) -> object:
    """A comma-separated text as a list of names; anything else as it is."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return _none_as_empty(value)


T = TypeVar("T")

Many = Annotated[tuple[T, ...], BeforeValidator(_none_as_empty), Field(max_length=MAXIMUM_ENTRIES)]
"""A list, empty when nothing stands after its key."""

Flag = StrictBool
Text = Annotated[StrictStr, Field(max_length=1000), AfterValidator(_no_control)]
Name = Annotated[StrictStr, Field(max_length=200), AfterValidator(_no_control)]
Identifier = Annotated[
    StrictStr,
    AfterValidator(check_identifier),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$"}),
]
FieldName = Annotated[
    StrictStr, Field(max_length=128), AfterValidator(_no_control), AfterValidator(_field_name)
]
Currency = Annotated[StrictStr, AfterValidator(_capital)]
TimeZone = Annotated[StrictStr, Field(max_length=64), AfterValidator(_known_zone)]
Country = Annotated[StrictStr, AfterValidator(_known_country)]
PhoneNumber = Annotated[StrictStr, Field(max_length=40), AfterValidator(_phone_number)]
DestinationUri = Annotated[
    StrictStr,
    Field(max_length=512),
    AfterValidator(_no_control),
    AfterValidator(_destination_uri),
]
SendDigits = Annotated[StrictStr, AfterValidator(_digits)]
Url = Annotated[StrictStr, Field(max_length=2048), AfterValidator(_url)]
Day = Annotated[StrictStr, Field(max_length=10), AfterValidator(_day)]
TemplateText = Annotated[StrictStr, Field(max_length=MAXIMUM_TEMPLATE), AfterValidator(_template)]

Money = Annotated[Decimal, BeforeValidator(_read_amount), Field(gt=0, le=10_000)]
"""An amount above 0 and at most 10,000 with at most 4 decimals, never read from a float."""
MoneyOrZero = Annotated[Decimal, BeforeValidator(_read_amount), Field(ge=0, le=10_000)]
Percent = Annotated[Decimal, BeforeValidator(_read_amount), Field(gt=0, le=100)]
Rate = Annotated[Decimal, BeforeValidator(_read_amount), Field(gt=0, le=100_000)]
Ratio = Annotated[Decimal, BeforeValidator(_read_amount), Field(gt=0, le=1)]

Seconds = Annotated[StrictInt, Field(ge=1, le=86_400)]
SecondsOrZero = Annotated[StrictInt, Field(ge=0, le=86_400)]
Days = Annotated[StrictInt, Field(ge=1, le=3_650)]
Hundreds = Annotated[StrictInt, Field(ge=0, le=1_000)]
Concurrency = Annotated[StrictInt, Field(ge=0, le=1_000_000)]
TimeoutMs = Annotated[StrictInt, Field(ge=1, le=30_000)]
