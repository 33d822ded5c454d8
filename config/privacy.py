"""How long a campaign's calls are kept."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from config.faults import mistake
from config.values import Days, Model


class Retention(Model):
    """After ``pii_days`` nothing tells who called; after ``calls_days`` the call is gone."""

    pii_days: Days | None = None
    calls_days: Annotated[Days | None, Field(validate_default=True)] = None

    @field_validator("calls_days")
    @classmethod
    def _not_before_its_caller(cls, days: int | None, info: ValidationInfo) -> int | None:
        pii_days = info.data.get("pii_days")
        if days is not None and pii_days is not None and days < pii_days:
            raise mistake("must be pii_days at least")
        return days
