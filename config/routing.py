"""Segments of buyers: which calls are for them alone, and what their bids count for."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from config.faults import mistake
from config.offers import FilterRule
from config.values import Identifier, Many, Model, Name, read_number


def _read_factor(value: object) -> Decimal:
    factor = read_number(value)
    if factor != round(factor, 4):
        raise mistake("must have at most 4 decimals")
    return factor


def _named(tag: str) -> str:
    if not tag.strip():
        raise mistake("must not be empty")
    return tag


Factor = Annotated[Decimal, BeforeValidator(_read_factor), Field(ge=Decimal("0.01"), le=100)]
Tag = Annotated[Name, AfterValidator(_named)]


class BoostRule(Model):
    """What bids count for in the ranking, times ``factor``; never what is paid.

    Of buyers with ``tag``, of ``offer``, for calls of ``source``: all that are given must agree.
    """

    tag: Tag | None = None
    offer: Identifier | None = None
    source: Identifier | None = None
    factor: Factor

    @field_validator("factor")
    @classmethod
    def _of_something(cls, factor: Decimal, info: ValidationInfo) -> Decimal:
        given = [info.data.get(name, "?") for name in ("tag", "offer", "source")]
        if given == [None, None, None]:
            raise mistake("goes with a tag, an offer or a source")
        return factor


class SegmentRule(Model):
    """Calls that meet every condition in ``when`` go only to buyers with one of ``tags``."""

    when: Annotated[Many[FilterRule], Field(min_length=1)]
    tags: Annotated[Many[Tag], Field(min_length=1, max_length=100)]
