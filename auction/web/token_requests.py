"""``POST /v1/tokens``: what may be asked for."""

import math
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auction.domain.throttle import RateLimit
from auction.web.bodies import JsonObject
from auction.web.call_request import Identifier
from auction.web.event_request import Instant
from auction.web.faults import faults_of
from auction.web.problems import Fault, invalid


class RateLimitRequest(BaseModel):
    """``per_second`` requests in the long run; ``burst`` at once, a second's worth unless given."""

    model_config = ConfigDict(strict=True, extra="forbid")

    per_second: Annotated[float, Field(ge=0.001, le=10_000)]
    burst: Annotated[int, Field(ge=1, le=10_000)] | None = None

    def limit(self) -> RateLimit:
        """The limit."""
        return RateLimit(self.per_second, self.burst or max(1, math.ceil(self.per_second)))


class TokenRequest(BaseModel):
    """The body of ``POST /v1/tokens``."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Identifier
    scopes: Annotated[
        list[Literal["calls", "read", "admin", "pii", "postback"]],
        Field(min_length=1, max_length=5),
    ]
    buyer: Identifier | None = None
    source: Identifier | None = None
    switch: Identifier | None = None
    rate_limit: RateLimitRequest | None = None
    expires_at: Instant | None = None

    def limit(self) -> RateLimit | None:
        """The rate limit, None for none."""
        return None if self.rate_limit is None else self.rate_limit.limit()


def read_token_request(body: JsonObject, now: datetime) -> TokenRequest:
    """The request, validated. Raises CallerMistakeError (422) with every fault at once."""
    try:
        asked = TokenRequest.model_validate(body)
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None
    faults = list(_contradictions(asked, now))
    if faults:
        raise invalid(*faults)
    return asked


def _contradictions(asked: TokenRequest, now: datetime) -> list[Fault]:
    faults: list[Fault] = []
    bound = asked.buyer is not None or asked.source is not None
    if bound and "admin" in asked.scopes:
        faults.append(Fault("scopes", "can't have admin where there is a buyer or a source"))
    if asked.buyer is not None and "calls" in asked.scopes:
        faults.append(Fault("scopes", "can't have calls where there is a buyer"))
    if "postback" in asked.scopes and asked.buyer is None and "admin" not in asked.scopes:
        faults.append(Fault("buyer", "is required by scope postback"))
    if asked.expires_at is not None and asked.expires_at <= now:
        faults.append(Fault("expires_at", "must be in the future"))
    return faults
