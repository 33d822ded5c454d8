"""How a request proves who sends it: fixed headers or query, or a signature over each body."""

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never
from urllib.parse import quote

from config.endpoints import ApiKeyAuth, Auth, BasicAuth, BearerAuth, HmacAuth, NoAuth
from config.secret_values import Secret

TIMESTAMP_HEADER = "X-Timestamp"

Resolve = Callable[[Secret], str]
"""Gives a secret's text. Raises SecretUnavailableError."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """Signs a body: ``sha256=<hex HMAC-SHA-256 of timestamp + "." + body>``."""

    key: bytes
    header: str

    def headers(self, body: bytes | None, unix_seconds: int) -> Headers:
        """The signature and the time it was made at. Without a body the empty one is signed."""
        message = b"%d.%b" % (unix_seconds, body or b"")
        signature = hmac.digest(self.key, message, "sha256").hex()
        return (self.header, f"sha256={signature}"), (TIMESTAMP_HEADER, str(unix_seconds))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What authentication adds to every request. ``query`` is percent-encoded, without ``&``."""

    headers: Headers = field(default=(), repr=False)
    query: str = field(default="", repr=False)
    signer: Signer | None = field(default=None, repr=False)


def compile_credentials(auth: Auth, resolve: Resolve) -> Credentials:
    """Resolve an endpoint's secrets. Raises SecretUnavailableError."""
    match auth:
        case NoAuth():
            return Credentials()
        case BearerAuth():
            return Credentials((("Authorization", f"Bearer {resolve(auth.token)}"),))
        case ApiKeyAuth(location="query"):
            key = quote(resolve(auth.key), safe="")
            return Credentials(query=f"{quote(auth.name, safe='')}={key}")
        case ApiKeyAuth():
            return Credentials(((auth.name, resolve(auth.key)),))
        case BasicAuth():
            pair = f"{auth.user}:{resolve(auth.password)}"
            encoded = base64.b64encode(pair.encode()).decode()
            return Credentials((("Authorization", f"Basic {encoded}"),))
        case HmacAuth():
            return Credentials(signer=Signer(resolve(auth.secret).encode(), auth.header))
        case _:
            assert_never(auth)
