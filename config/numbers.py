"""Numbers with rules of their own, pools of numbers for visitors, and voice agents."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt

from config.faults import mistake
from config.offers import FilterRule
from config.values import (
    Concurrency,
    DestinationUri,
    FieldName,
    Flag,
    Hundreds,
    Identifier,
    Many,
    Model,
    Name,
    PhoneNumber,
    Seconds,
    SecondsOrZero,
    read_number,
)

MAXIMUM_TAGS: Final = 64
MAXIMUM_RULES: Final = 100

_LARGEST_TAG: Final = 2**53


def _tag_value(value: object) -> str | bool | int:
    if isinstance(value, Decimal):
        value = format(read_number(value), "f")
    if isinstance(value, str) and len(value) > 1000:
        raise mistake("must have at most 1000 characters")
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) < _LARGEST_TAG:
        return value
    raise mistake("must be text, a number or true or false")


TagValue = Annotated[str | bool | int, BeforeValidator(_tag_value)]


def _few(tags: dict[str, TagValue]) -> dict[str, TagValue]:
    if len(tags) > MAXIMUM_TAGS:
        raise mistake(f"has more than {MAXIMUM_TAGS} entries")
    return tags


Tags = Annotated[dict[FieldName, TagValue], AfterValidator(_few)]
"""Fields that calls to a number get where the switch does not give them itself."""


class NumberRule(Model):
    """Which calls a number takes, or which offers take its calls.

    It speaks of the calls that meet all ``filters``, every call without any. Without ``offers``
    such a call is accepted or rejected as a whole; with them they alone, or all but they, may take
    it.
    """

    action: Literal["accept", "reject"]
    filters: Many[FilterRule] = ()
    offers: Many[Identifier] = ()


class Number(Model):
    """One dialled number: whose calls they are, what is known of them, which are taken."""

    id: Identifier
    name: Name = ""
    number: PhoneNumber
    campaign: Identifier
    source: Identifier | None = None
    tags: Tags = Field(default_factory=dict)
    rules: Annotated[Many[NumberRule], Field(max_length=MAXIMUM_RULES)] = ()


class Pool(Model):
    """Numbers that are lent to visitors of a page, one each; times in seconds.

    A lease lasts ``lease_s``; a heartbeat keeps it for ``heartbeat_s`` from then on (``lease_s``
    where absent). For ``grace_s`` after its end the number is lent to nobody else. ``cap``: so many
    are lent at once, at most.
    """

    id: Identifier
    name: Name = ""
    campaign: Identifier
    source: Identifier | None = None
    numbers: Many[PhoneNumber] = ()
    lease_s: Seconds = 900
    heartbeat_s: Seconds | None = None
    grace_s: SecondsOrZero = 300
    fallback_number: PhoneNumber | None = None
    cap: Annotated[StrictInt, Field(ge=0, le=10_000)] | None = None


def _sip(uri: str) -> str:
    if uri.lower().startswith("tel:"):
        raise mistake("must be a SIP URL such as sip:agent@bots.example")
    return uri


class VoiceAgent(Model):
    """A voice agent that takes calls at its SIP URL, as a buyer of type voice_bot with its id."""

    id: Identifier
    name: Name = ""
    company: Name | None = None
    campaign: Identifier
    sip_url: Annotated[DestinationUri, AfterValidator(_sip)]
    enabled: Flag = True
    concurrency: Concurrency | None = None
    priority: Hundreds = 1
    weight: Annotated[StrictInt, Field(ge=0, le=10_000)] = 1
