"""How a campaign scores its calls, as an operator writes it."""

from typing import Annotated

from pydantic import Field, StrictInt, field_validator

from config.faults import mistake
from config.offers import FilterRule
from config.values import Many, Model

Points = Annotated[StrictInt, Field(ge=-100, le=100)]


class QualityRule(Model):
    """Points for calls that meet every condition in ``when``; below 0 they are taken away."""

    when: Annotated[Many[FilterRule], Field(min_length=1)]
    points: Points


class SourceHistory(Model):
    """At most so many points for a source whose calls convert more often than others', or less."""

    points: Annotated[StrictInt, Field(ge=1, le=100)]


class Quality(Model):
    """A score from 0 to 100 for every call: ``base``, and what rules and its source bring."""

    base: Annotated[StrictInt, Field(ge=0, le=100)] = 50
    rules: Annotated[Many[QualityRule], Field(max_length=200)] = ()
    source_history: SourceHistory | None = None

    @field_validator("rules")
    @classmethod
    def _not_of_itself(cls, rules: tuple[QualityRule, ...]) -> tuple[QualityRule, ...]:
        for index, rule in enumerate(rules):
            for place, condition in enumerate(rule.when):
                if condition.field == "quality":
                    raise mistake("is what these rules make", index, "when", place, "field")
        return rules
