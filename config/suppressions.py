"""Lists of numbers that are not to be sold; the numbers themselves are no part of the file."""

from enum import Enum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from config.faults import mistake
from config.values import Identifier, Model, Name


class SuppressionScope(Enum):
    """What a list keeps its numbers from."""

    GLOBAL = "global"
    CAMPAIGN = "campaign"
    BUYER = "buyer"


class Suppression(Model):
    """A list: of the whole marketplace, of one campaign, or of one buyer's offers."""

    id: Identifier
    name: Name = ""
    scope: SuppressionScope = SuppressionScope.GLOBAL
    campaign: Annotated[Identifier | None, Field(validate_default=True)] = None
    buyer: Annotated[Identifier | None, Field(validate_default=True)] = None

    @field_validator("campaign", "buyer")
    @classmethod
    def _goes_with_the_scope(cls, owner: str | None, info: ValidationInfo) -> str | None:
        scope = info.data.get("scope")
        wanted = isinstance(scope, SuppressionScope) and scope.value == info.field_name
        if wanted and owner is None:
            raise mistake(f"is required: the list is one of a {info.field_name}")
        if scope is not None and not wanted and owner is not None:
            raise mistake(f"goes with scope: {info.field_name} only")
        return owner
