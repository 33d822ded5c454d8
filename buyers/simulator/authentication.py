"""The authentication that a simulated buyer was promised, and whether a request has it."""

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Annotated, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

from buyers.simulator.request import Request

CLOCK_TOLERANCE_S = 300
"""How far a signature's timestamp may be from this machine's clock."""


def _from_environment(value: object, info: ValidationInfo) -> object:
    if not (isinstance(value, dict) and value.keys() == {"env"}):
        return value
    environment: Mapping[str, str] = (info.context or {}).get("environment", {})
    name = str(value["env"])
    if name not in environment:
        raise ValueError(f"environment variable {name} is not set")
    return environment[name]


Secret = Annotated[SecretStr, Field(min_length=1), BeforeValidator(_from_environment)]
"""A secret as text, or ``{env: NAME}``."""


class _Auth(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NoAuth(_Auth):
    """Everybody may ask."""

    type: Literal["none"] = "none"


class BearerAuth(_Auth):
    """``Authorization: Bearer <token>``."""

    type: Literal["bearer"]
    token: Secret


class ApiKeyAuth(_Auth):
    """A key in the header or query parameter ``name``."""

    type: Literal["api_key"]
    key: Secret
    name: str = "X-API-Key"
    location: Literal["header", "query"] = Field(default="header", alias="in")


class BasicAuth(_Auth):
    """``Authorization: Basic`` with user and password."""

    type: Literal["basic"]
    user: Secret
    password: Secret


class HmacAuth(_Auth):
    """``sha256=<hex HMAC-SHA-256 of timestamp + "." + body>``, ``X-Timestamp`` in Unix seconds."""

    type: Literal["hmac"]
    secret: Secret
    header: str = "X-Signature"


Auth = Annotated[
    NoAuth | BearerAuth | ApiKeyAuth | BasicAuth | HmacAuth, Field(discriminator="type")
]

Check = Callable[[Request], bool]
"""Whether a request is from whom it should be from."""


def credential_name(auth: Auth) -> str:
    """The header or query parameter that carries the credential, empty where none does."""
    match auth:
        case NoAuth():
            return ""
        case ApiKeyAuth():
            return auth.name
        case HmacAuth():
            return auth.header
        case _:
            return "Authorization"


def compile_check(auth: Auth) -> Check:
    """The check of one promise, with all that can be prepared done before."""
    match auth:
        case NoAuth():
            return lambda _: True
        case BearerAuth():
            return _header_check("Authorization", f"Bearer {auth.token.get_secret_value()}")
        case BasicAuth():
            pair = f"{auth.user.get_secret_value()}:{auth.password.get_secret_value()}"
            return _header_check("Authorization", f"Basic {b64encode(pair.encode()).decode()}")
        case ApiKeyAuth(location="header"):
            return _header_check(auth.name, auth.key.get_secret_value())
        case ApiKeyAuth():
            return _query_check(auth.name, auth.key.get_secret_value())
        case HmacAuth():
            return _signature_check(auth.header.lower(), auth.secret.get_secret_value().encode())


def _header_check(name: str, expected: str) -> Check:
    lowered = name.lower()
    return lambda request: request.headers.get(lowered) == expected


def _query_check(name: str, expected: str) -> Check:
    return lambda request: (name, expected) in parse_qsl(request.query)


def _signature_check(header: str, secret: bytes) -> Check:
    def check(request: Request) -> bool:
        timestamp = request.headers.get("x-timestamp", "")
        if not _is_recent(timestamp):
            return False
        signed = hmac.new(secret, timestamp.encode() + b"." + request.body, hashlib.sha256)
        given = request.headers.get(header, "").encode()
        return hmac.compare_digest(given, f"sha256={signed.hexdigest()}".encode())

    return check


def _is_recent(timestamp: str) -> bool:
    if not timestamp.isdecimal() or len(timestamp) > 12:
        return False
    return abs(int(timestamp) - time.time()) <= CLOCK_TOLERANCE_S
