"""What the benchmark's buyers are told when they are started."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuyerOptions:
    """One credential for each buyer; every answer comes ``delay_ms`` after its request.

    With files in PEM format, of a certificate and its key, they listen with TLS.
    """

    credentials: tuple[str, ...]
    delay_ms: float = 20.0
    certificate: str | None = None
    key: str | None = None


def credential_of(number: int) -> str:
    """The token or key of buyer ``number``."""
    return f"bench-credential-{number:04}"
