"""Settings of the process: a TOML file, over it the environment, over it the flags."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict

from config.dsn import fault_of_dsn, redact_dsn
from config.faults import ConfigError, Fault, faults_of, mistake
from config.poolers import Pooler
from config.secret_box import read_key
from config.secret_values import OWN_PREFIX, fault_of_text

PREFIX = OWN_PREFIX
Network = IPv4Network | IPv6Network
Port = Annotated[int, Field(ge=0, le=65_535)]
Threshold = Annotated[int, Field(ge=0, le=1_000_000)]

_TEST_PREFIX = "PINGPOST_TEST_"
_HIDDEN = "***"
_ORIGIN = re.compile(
    r"https?://(?:[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?/?", re.ASCII
)


def default_data_dir() -> Path:
    """Where data is kept: ``/var/lib/pingpost`` for root, else the user's data folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/pingpost")
    home = os.environ.get("XDG_DATA_HOME", "")
    root = Path(home) if home.startswith("/") else Path.home() / ".local" / "share"
    return root / "pingpost"


class Settings(BaseSettings):
    """Every setting; ``PINGPOST_`` and capitals make the name of its variable.

    ``dsn`` None: the embedded PostgreSQL in ``data_dir``. Ports may be 0 for any free one.
    ``drain_s``: how long calls in flight may take after SIGTERM, once no more are taken, which is
    ``drain_notice_s`` after the readiness is gone. ``overload_*``: from which lag of
    the event loop, calls in flight or steps waiting for the database on calls are routed statically
    only, and then refused; 0: never. ``max_requests``: how many the API handles at once.
    ``metrics_labels``: how many offers, and how many campaigns, have series of their own.
    ``voice_bots``: whether voice agents may be saved, each of which makes a buyer.
    ``worker_hang_s``: after how long without a move a worker is killed and replaced; 0: never.
    ``tracing``: whether spans go to an OpenTelemetry collector (needs the extra ``otel``).
    ``public_url``: how switches reach this service, ``https://host``, where that is not the host
    they name. ``twilio_auth_token`` and ``jambonz_secret``: what those sign their requests with;
    several are separated by commas.
    ``database_pooler``: what is between the service and the server of ``dsn``.
    ``new_secret_key``: the database may be sealed with this one instead of ``secret_key``.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    dsn: SecretStr | None = None
    data_dir: Path = Field(default_factory=default_data_dir)
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_\-]{1,253}$")] = "127.0.0.1"
    port: Port = 8080
    ops_port: Annotated[Port, Field(validate_default=True)] = 9090
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    bootstrap_token: SecretStr | None = None
    outbound_allow: Annotated[tuple[Network, ...], NoDecode] = ()
    secret_key: SecretStr | None = None
    new_secret_key: SecretStr | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    migrate: bool = True
    database_pooler: Pooler = Pooler.NONE
    database_connections: Annotated[int, Field(ge=2, le=64)] = 6
    drain_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    drain_notice_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    worker_hang_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    overload_static_lag_ms: Threshold = 250
    overload_refuse_lag_ms: Threshold = 1000
    overload_static_calls: Threshold = 2_000
    overload_refuse_calls: Threshold = 4_000
    overload_static_queued: Threshold = 1_000
    overload_refuse_queued: Threshold = 4_000
    voice_bots: bool = False
    tracing: bool = False
    public_url: Annotated[str, Field(max_length=300)] | None = None
    twilio_auth_token: SecretStr | None = None
    jambonz_secret: SecretStr | None = None
    max_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    metrics_labels: Annotated[int, Field(ge=0, le=20_000)] = 1_000

    @property
    def secret_key_bytes(self) -> bytes | None:
        """The key that seals secrets, None when it is not set."""
        return read_key(self.secret_key.get_secret_value()) if self.secret_key else None

    @property
    def new_secret_key_bytes(self) -> bytes | None:
        """The key that takes the secret key's place, None when it is not set."""
        return read_key(self.new_secret_key.get_secret_value()) if self.new_secret_key else None

    def redacted(self) -> dict[str, object]:
        """Every setting as plain data for a log or a screen, without any secret."""
        plain = self.model_dump(mode="json")
        secrets = (
            *("bootstrap_token", "secret_key", "new_secret_key"),
            *("twilio_auth_token", "jambonz_secret"),
        )
        hidden = {name: _HIDDEN for name in secrets if plain[name]}
        dsn = {"dsn": redact_dsn(self.dsn.get_secret_value())} if self.dsn else {}
        return {**plain, **hidden, **dsn}

    @field_validator("dsn")
    @classmethod
    def _is_postgresql(cls, dsn: SecretStr | None) -> SecretStr | None:
        wrong = fault_of_dsn(dsn.get_secret_value()) if dsn else None
        if wrong:
            raise mistake(wrong)
        return dsn

    @field_validator("data_dir")
    @classmethod
    def _whole_path(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("ops_port")
    @classmethod
    def _ports_differ(cls, port: int, info: ValidationInfo) -> int:
        if port != 0 and port == info.data.get("port"):
            raise mistake("must not be the same as port")
        return port

    @field_validator("bootstrap_token")
    @classmethod
    def _sendable(cls, token: SecretStr | None) -> SecretStr | None:
        wrong = fault_of_text(token.get_secret_value()) if token else None
        if wrong:
            raise mistake(wrong)
        return token

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, url: str | None) -> str | None:
        if url and _ORIGIN.fullmatch(url) is None:
            raise mistake("must be https://host or https://host:port, without a path")
        return url.rstrip("/") if url else None

    @field_validator("twilio_auth_token", "jambonz_secret")
    @classmethod
    def _says_something(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret and not all(secrets_of(secret)):
            raise mistake("must be secrets, separated by commas, none of them empty")
        return secret

    @field_validator("outbound_allow", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        texts = value.split(",") if isinstance(value, str) else value
        if not isinstance(texts, list | tuple):
            raise mistake("must be networks, separated by commas")
        return tuple(_network(text) for text in texts if not isinstance(text, str) or text.strip())

    @field_validator("secret_key", "new_secret_key")
    @classmethod
    def _has_its_length(cls, key: SecretStr | None) -> SecretStr | None:
        try:
            read_key(key.get_secret_value() if key else "A" * 43)
        except ValueError as error:
            raise mistake(f"{error}: `pingpost secret-key` prints one") from None
        return key

    @field_validator("database_pooler")
    @classmethod
    def _is_of_a_server(cls, pooler: Pooler, info: ValidationInfo) -> Pooler:
        if pooler is not Pooler.NONE and info.data.get("dsn", "") is None:
            raise mistake("needs PINGPOST_DSN: nothing is in between to the embedded server")
        return pooler

    @field_validator("log_level", "log_format", "database_pooler", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


def load_settings(
    flags: Mapping[str, object] | None = None, config_file: Path | None = None
) -> Settings:
    """The settings from everywhere; a flag that is None was not given.

    Raises ConfigError with every fault, each under the flag, variable or key that it was read from.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    from_environment = EnvSettingsSource(Settings)()
    from_file = _read_toml(config_file) if config_file else {}
    values: dict[str, Any] = {**from_file, **from_environment, **given}
    try:
        return Settings(**values)
    except ValidationError as error:
        found = faults_of(error, {})
    raise ConfigError(_renamed(fault, given, from_environment, config_file) for fault in found)


def secrets_of(setting: SecretStr | None) -> tuple[str, ...]:
    """The secrets that a setting lists; none when it is not set."""
    if setting is None:
        return ()
    return tuple(each.strip() for each in setting.get_secret_value().split(","))


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: probably misspelt."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in environ
        if name.startswith(PREFIX) and name not in known and not name.startswith(_TEST_PREFIX)
    )


def _network(text: object) -> Network:
    try:
        return ip_network(str(text).strip())
    except ValueError:
        raise mistake(
            f"{str(text)[:60]!r} is not a network: write one such as 127.0.0.0/8"
        ) from None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"can't be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        problem = f"is not TOML: {error}"
    raise ConfigError([Fault((str(file),), problem)])


def _renamed(
    fault: Fault,
    given: Mapping[str, object],
    from_environment: Mapping[str, object],
    config_file: Path | None,
) -> Fault:
    name = str(fault.steps[0]) if fault.steps else ""
    if name in given:
        return replace(fault, steps=(f"--{name.replace('_', '-')}",))
    if name in from_environment or config_file is None:
        return replace(fault, steps=(f"{PREFIX}{name}".upper(),))
    return replace(fault, steps=(f"{name} in {config_file}",))
