"""The proxy that an offer's requests go through, as an operator writes it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from config.faults import mistake
from config.secret_values import Secret
from config.values import Model, Name, Url


def _without_credentials(value: object) -> object:
    if isinstance(value, str) and "@" in value:
        raise mistake("must not carry a user or password: give them as user and password")
    return value


def _bare_http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise mistake("must start with http://: TLS goes through the proxy, not to it")
    if parts.path not in {"", "/"} or parts.query:
        raise mistake("must end after host and port")
    return url


ProxyUrl = Annotated[Url, AfterValidator(_bare_http), BeforeValidator(_without_credentials)]


class Proxy(Model):
    """An HTTP proxy; ``user`` and ``password`` go to it, and to nobody else, as Basic."""

    url: ProxyUrl
    user: Name | None = None
    password: Annotated[Secret | None, Field(validate_default=True)] = None

    @field_validator("user")
    @classmethod
    def _without_colon(cls, user: str | None) -> str | None:
        if user is not None and ":" in user:
            raise mistake("must not contain a colon")
        return user

    @field_validator("password")
    @classmethod
    def _both_or_none(cls, password: Secret | None, info: ValidationInfo) -> Secret | None:
        if "user" in info.data and (info.data["user"] is None) != (password is None):
            raise mistake("goes with user: give both or none")
        return password
