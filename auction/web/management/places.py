"""Where a page ends, as an opaque token: an instant, and which of the entries of that instant."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final

Place = tuple[datetime, str]

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{4,400}", re.ASCII)


def write_place(at: datetime, within: str) -> str:
    """A place as an opaque url-safe text."""
    text = f"{at.astimezone(UTC).isoformat()} {within}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_place(text: str) -> Place | None:
    """What ``write_place`` wrote; None for anything else."""
    if _TOKEN.fullmatch(text) is None:
        return None
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        instant, _, within = plain.decode().partition(" ")
        at = datetime.fromisoformat(instant)
    except (binascii.Error, ValueError):
        return None
    return (at, within) if at.utcoffset() is not None and within.isprintable() else None
