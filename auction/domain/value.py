"""Values that are made for every ping or call: immutable by type check, cheap to make.

A frozen dataclass sets each field through ``object.__setattr__``, which triples the time that
making one takes. Type checkers see the standard library's ``dataclass`` and refuse whatever changes
a value; at run time its fields are set the plain way.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from collections.abc import Callable
    from dataclasses import dataclass
    from functools import partial

    def value(*, frozen: bool, slots: bool) -> Callable[[type], type]:
        """As ``dataclass(frozen=True, slots=True)``: compared and hashed by its fields."""
        return partial(dataclass, slots=slots, unsafe_hash=frozen)


__all__ = ["value"]
