"""What the benchmark's buyers are told when they are started."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuyerOptions:
    """One credential for each buyer; every answer comes ``delay_ms`` after its request."""

    credentials: tuple[str, ...]
    delay_ms: float = 20.0


def credential_of(number: int) -> str:
    """The token or key of buyer ``number``."""
    return f"bench-credential-{number:04}"
