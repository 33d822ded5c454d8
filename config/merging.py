"""JSON merge patches (RFC 7396) on the marketplace's plain data."""

from collections.abc import Mapping
from typing import Final

_SECRET_FORMS: Final = frozenset({"env", "keep", "sealed", "secret"})
_NAMED_FREELY: Final = frozenset({"headers", "query"})
"""Under these even a mapping with one of those keys is no secret, but a list of names."""


def merged(target: object, patch: object, *, names: bool = False) -> object:
    """``target`` with a merge patch applied; a secret is one value, replaced as a whole.

    ``names``: both map names that anybody may choose, and are no secrets.
    """
    if not isinstance(patch, Mapping):
        return patch
    if not names and _is_secret(target) and _is_secret(patch):
        return dict(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value, names=key in _NAMED_FREELY)
    return result


def _is_secret(value: object) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and not _SECRET_FORMS.isdisjoint(value)
