"""Values of headers and query parameters: templates, shown as written, or secrets."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from config.secret_values import Secret

SentValue = str | Secret
"""What a header or a query parameter is sent with: a template, or a secret, which is none."""

_CREDENTIAL: Final = re.compile(
    r"authorization|cookie|credential|key(?!word)|passw|pwd|secret|token", re.IGNORECASE
)
"""Names that credentials go by."""


def is_credential(name: str, value: object) -> bool:
    """Whether a value is what looks like a credential: constant, under a name for one."""
    text = text_of_scalar(value)
    return bool(text) and "{{" not in str(text) and has_credential_name(name)


def has_credential_name(name: str) -> bool:
    """Whether credentials go by such a name."""
    return _CREDENTIAL.search(name) is not None


def text_of_scalar(value: object) -> str | None:
    """A text or a number as text, None for all else."""
    if isinstance(value, bool):
        return None
    return str(value) if isinstance(value, str | int | Decimal) else None


def secret_of(name: str, value: object) -> Secret | None:
    """The secret that a header or parameter holds, None where it is a template.

    Raises a mistake for one of another form.
    """
    if isinstance(value, Secret | Mapping):
        return Secret.read(value)
    return Secret.read(text_of_scalar(value)) if is_credential(name, value) else None


def secrets_among(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The names of headers or parameters that hold secrets, and those as written."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield str(name), value
        elif is_credential(str(name), value):
            yield str(name), text_of_scalar(value)
