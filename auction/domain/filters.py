"""Filters on a call's fields."""
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filter:
    """Placeholder for the shape only; replaced by its owner."""

    field: str
