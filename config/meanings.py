"""What the keys of the marketplace file mean, for its schema, the API and the reference.

The words stand in ``meanings.toml``, not in the models: they are needed where a schema is asked
for, and every start of a process reads the models.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_SHARED = "Model"


@cache
def known() -> Mapping[str, Mapping[str, str]]:
    """Every meaning, by the model's name and by key."""
    return tomllib.loads((files("config") / "meanings.toml").read_text("utf-8"))


def meaning_of(model: type, key: str) -> str | None:
    """What a key of a model means; None where nobody has said."""
    names = [each.__name__ for each in model.__mro__]
    found = (known()[name].get(key) for name in names if name in known() and name != _SHARED)
    return next((text for text in found if text), known()[_SHARED].get(key))
