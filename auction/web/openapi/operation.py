"""What a route reads and answers, for the OpenAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

Schema = Mapping[str, object]

ALWAYS: Final = (400, 401, 403, 429, 503)
"""Problems that every route may answer with."""

WITH_BODY: Final = (408, 413, 422)
ANY: Final[Schema] = {}
JSON: Final = "application/json"

Content = type[BaseModel] | str | Schema | None
"""A model, the name of a schema made elsewhere, a schema, or nothing at all."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; ``answers`` by status, ``problems`` beside those that all have.

    ``query``: a model, or schemas by name. ``other_types``: further media types of an answer,
    ``other_forms``: further forms of its JSON, ``problem_types``: further media types of problems.
    """

    answers: Mapping[int, Content]
    body: Content = None
    query: type[BaseModel] | Mapping[str, Schema] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    answer_headers: tuple[str, ...] = ()
    body_types: tuple[str, ...] = (JSON,)
    other_types: tuple[str, ...] = ()
    other_forms: tuple[type[BaseModel], ...] = ()
    problem_types: tuple[str, ...] = ()
    body_required: bool = True


Operations = Mapping[tuple[str, str], Operation]
"""By method and path."""
