"""What the benchmark's buyers are told when they are started."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuyerOptions:
    """One credential for each buyer; every answer comes ``delay_ms`` after its request.

    ``steady``: each buyer bids the same all the time, ``steady_bid`` of its number. With files in
    PEM format, of a certificate and its key, they listen with TLS.
    """

    credentials: tuple[str, ...]
    delay_ms: float = 20.0
    certificate: str | None = None
    key: str | None = None
    steady: bool = False


def credential_of(number: int) -> str:
    """The token or key of buyer ``number``."""
    return f"bench-credential-{number:04}"


def steady_bid(number: int) -> str:
    """What buyer ``number`` bids where bids are steady: more than those before it."""
    return f"{40 + number // 10}.{number % 10}0"
