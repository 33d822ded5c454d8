"""The models of a script: buyers, their endpoints, and where they listen."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, model_validator

from buyers.simulator.authentication import Auth, NoAuth
from buyers.simulator.behaviour import (
    ACCEPTANCES,
    BIDS,
    PING_BEHAVIOURS,
    POST_BEHAVIOURS,
    status_of,
)
from buyers.simulator.dialects import (
    PLAIN_PING,
    PLAIN_POST,
    Dialect,
    PingDialect,
    PostDialect,
)
from buyers.simulator.distributions import (
    Amounts,
    ConstantAmount,
    ConstantLatency,
    Latency,
    not_empty,
)
from buyers.simulator.templates import tokens_of

Port = Annotated[int, Field(ge=0, le=65_535)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


def _checked_path(path: str) -> str:
    if not path.startswith("/") or path.startswith("/_"):
        raise ValueError("a path starts with / and not with /_")
    if not path.isascii() or any(character in path for character in " ?#") or len(path) > 256:
        raise ValueError("a path is ASCII without spaces, ? and #, at most 256 characters")
    return path


HttpPath = Annotated[str, AfterValidator(_checked_path)]


def _among(known: frozenset[str]) -> AfterValidator:
    def check(behaviours: dict[str, float]) -> dict[str, float]:
        unknown = [name for name in behaviours if name not in known and status_of(name) is None]
        if unknown:
            names = ", ".join(sorted(known))
            raise ValueError(f"unknown behaviour {unknown[0]}; known: {names}, status_<code>")
        if not any(_weighted(behaviours)):
            raise ValueError("at least one behaviour needs a weight above 0")
        return behaviours

    return AfterValidator(check)


def _weighted(behaviours: Mapping[str, float]) -> Iterator[str]:
    return (name for name, weight in behaviours.items() if weight > 0)


def _check_words(behaviour: str, dialect: Dialect, values: Mapping[str, object]) -> None:
    """A behaviour that the dialect can't express would be counted without being played."""
    missing = values.keys() - tokens_of(dialect.accepted)
    if missing:
        raise ValueError(
            f"behaviour {behaviour} needs {{{{ {min(missing)} }}}} in dialect.accepted"
        )
    if behaviour == "refusal_with_price" and dialect.refused_with_price is None:
        raise ValueError("behaviour refusal_with_price needs dialect.refused_with_price")
    if behaviour == "doctype" and dialect.format != "xml":
        raise ValueError("behaviour doctype needs a dialect in xml")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Endpoint(_Model):
    """What pings and posts have in common.

    ``decide_by`` names what an answer follows from: ``sequence`` (1, 2, ...) or a dotted path into
    the request, so that the same value always gets the same answer. ``drip_ms`` is the pause
    between two bytes.
    """

    latency_ms: Latency = ConstantLatency(distribution="constant", value=0)
    destination: str | None = None
    reason: str = "not interested"
    decide_by: str = "sequence"
    late_ms: Annotated[float, Field(ge=0, le=120_000)] = 5_000
    drip_ms: Annotated[float, Field(gt=0, le=10_000)] = 100
    oversize_bytes: Annotated[int, Field(ge=1, le=2**30)] = 131_072


class PingEndpoint(Endpoint):
    """How a buyer answers pings: ``bid`` is its offer, ``no_bid_status`` says no without a word."""

    path: HttpPath = "/ping"
    dialect: PingDialect = PLAIN_PING
    bid: Amounts = ConstantAmount(distribution="constant", value="50.00")
    amount_as: Literal["text", "number"] = "text"
    currency: str | None = None
    expires_in_s: int | None = None
    minimum_duration_s: int | None = None
    no_bid_status: Annotated[int, Field(ge=200, le=599)] = 204
    behaviours: Annotated[dict[str, Weight], _among(PING_BEHAVIOURS)] = Field(default={"bid": 1})

    @model_validator(mode="after")
    def _playable(self) -> Self:
        for name in _weighted(self.behaviours):
            _check_words(name, self.dialect, BIDS.get(name, {}))
        return self


class PostEndpoint(Endpoint):
    """How a buyer answers posts."""

    path: HttpPath = "/post"
    dialect: PostDialect = PLAIN_POST
    behaviours: Annotated[dict[str, Weight], _among(POST_BEHAVIOURS)] = Field(default={"accept": 1})

    @model_validator(mode="after")
    def _playable(self) -> Self:
        for name in _weighted(self.behaviours):
            _check_words(name, self.dialect, ACCEPTANCES.get(name, {}))
        return self


class Tls(_Model):
    """Certificate chain and key of an HTTPS buyer, as PEM files."""

    certificate: FilePath
    key: FilePath


class BuyerScript(_Model):
    """One simulated buyer.

    Buyers that name the same host and port (not 0) share a listener and are told apart by their
    paths. ``known_numbers`` are not callers (dialled numbers), so a ping may carry them.
    ``record``: how many requests are kept to be looked at.
    """

    name: Name
    host: str | None = None
    port: Port = 0
    auth: Auth = NoAuth()
    ping: PingEndpoint = PingEndpoint()
    post: PostEndpoint = PostEndpoint()
    tls: Tls | None = None
    known_numbers: tuple[str, ...] = ()
    record: Annotated[int, Field(ge=0, le=100_000)] = 0


class Control(_Model):
    """The port that serves the counts of all buyers together."""

    host: str | None = None
    port: Port = 0


class Script(_Model):
    """All simulated buyers of one run. The limits hold for each port."""

    seed: int = 0
    host: str = "127.0.0.1"
    control: Control | None = None
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 4_096
    max_request_bytes: Annotated[int, Field(ge=256, le=2**26)] = 262_144
    buyers: Annotated[tuple[BuyerScript, ...], AfterValidator(not_empty)]

    @model_validator(mode="after")
    def _one_tls_a_port(self) -> Self:
        certificates: dict[tuple[str, int], Tls | None] = {}
        for buyer in self.buyers:
            address = self.address(buyer)
            if buyer.port and certificates.setdefault(address, buyer.tls) != buyer.tls:
                raise ValueError(f"{buyer.name}: buyers on one port share its tls")
        return self

    def address(self, place: BuyerScript | Control) -> tuple[str, int]:
        """Host and port on which a buyer, or the control port, is to listen."""
        return place.host or self.host, place.port
