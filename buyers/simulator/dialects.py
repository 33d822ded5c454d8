"""The dialects of simulated buyers: how they word yes and no."""

from collections.abc import Callable, Mapping
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, model_validator

from buyers.simulator.templates import Format, tokens_of

TOKENS = frozenset(
    {
        "amount",
        "bid_id",
        "currency",
        "destination",
        "expires_in_s",
        "minimum_duration_s",
        "reason",
    }
)

_CONTENT_TYPES: Mapping[str, str] = {
    "json": "application/json",
    "xml": "application/xml",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}


class Dialect(BaseModel):
    """How a buyer words its answers: one template each for yes, no, and no with a price.

    JSON templates are any JSON value; form templates are flat mappings; XML and text templates are
    texts. A JSON value that is one ``{{ token }}`` alone keeps its type, and its key is left out
    when there is no value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Format = "json"
    content_type: str | None = None
    accepted: JsonValue
    refused: JsonValue
    refused_with_price: JsonValue = None

    @property
    def media_type(self) -> str:
        """The Content-Type of the answers."""
        return self.content_type or _CONTENT_TYPES[self.format]

    @model_validator(mode="after")
    def _shaped(self) -> Self:
        for name in ("accepted", "refused", "refused_with_price"):
            template: JsonValue = getattr(self, name)
            if template is not None or name != "refused_with_price":
                self._check(name, template)
        if self.content_type is not None and not self.content_type.isprintable():
            raise ValueError("content_type holds control characters")
        return self

    def _check(self, name: str, template: JsonValue) -> None:
        if self.format in {"xml", "text"} and not isinstance(template, str):
            raise ValueError(f"{name}: a template in {self.format} is a text")
        if self.format == "form" and not _is_flat(template):
            raise ValueError(f"{name}: a form template is a flat mapping")
        unknown = tokens_of(template) - TOKENS
        if unknown:
            raise ValueError(f"{name}: unknown token {{{{ {min(unknown)} }}}}")


PLAIN_PING = Dialect(
    accepted={
        "accepted": True,
        "bid": "{{ amount }}",
        "bid_id": "{{ bid_id }}",
        "currency": "{{ currency }}",
        "destination": "{{ destination }}",
        "expires_in_s": "{{ expires_in_s }}",
        "minimum_duration_s": "{{ minimum_duration_s }}",
    },
    refused={"accepted": False, "reason": "{{ reason }}"},
    refused_with_price={"accepted": False, "bid": "{{ amount }}", "reason": "{{ reason }}"},
)

PLAIN_POST = Dialect(
    accepted={"accepted": True, "destination": "{{ destination }}"},
    refused={"accepted": False, "reason": "{{ reason }}"},
)


def _named(plain: Dialect) -> Callable[[object], object]:
    return lambda value: plain if value == "plain" else value


PingDialect = Annotated[Dialect, BeforeValidator(_named(PLAIN_PING))]
PostDialect = Annotated[Dialect, BeforeValidator(_named(PLAIN_POST))]


def _is_flat(template: JsonValue) -> bool:
    return isinstance(template, dict) and not any(
        isinstance(value, dict | list) for value in template.values()
    )
