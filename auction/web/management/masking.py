"""Callers' numbers in campaigns, as they are shown to tokens without scope ``pii``."""

from collections.abc import Mapping
from typing import Final

from auction.domain.phone import mask
from auction.web.authentication import Scope
from auction.web.services import Grant

_CAMPAIGN: Final = "campaign"
_NUMBERS: Final = "caller_blocklist"


def shown_to(grant: Grant, kind: str, document: Mapping[str, object]) -> dict[str, object]:
    """A document, or a patch of one, as this grant may see it."""
    return dict(document) if Scope.PII in grant.scopes else masked(kind, document)


def masked(kind: str, document: Mapping[str, object]) -> dict[str, object]:
    """A document, or a patch of one, with callers' numbers masked."""
    numbers = document.get(_NUMBERS)
    if kind != _CAMPAIGN or not isinstance(numbers, list | tuple):
        return dict(document)
    return {**document, _NUMBERS: [mask(str(each)) for each in numbers]}
