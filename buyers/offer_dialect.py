"""All that is compiled of one offer: how it is pinged and posted, and how its answers are read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from auction.domain.ids import OfferId
from auction.domain.money import render
from buyers import plain_dialect
from buyers.authentication import Resolve
from buyers.dialect import PingDialect, PostDialect
from buyers.documents import ExpressionFaultError
from buyers.endpoint import CompiledEndpoint, compile_endpoint
from buyers.mapping import AnswerMapping, compile_mapping
from buyers.proxying import Proxy, compile_proxy
from buyers.templates import TemplateFaultError, compile_body
from buyers.tokens import CallerIdMode, CallerIdRule
from config.endpoints import Endpoint, PingPost, Response
from config.offers import Offer
from config.sealing import SecretUnavailableError

SHARED: Final = 4096
"""How many different ways of reading answers are kept, each for all offers that use it."""

HashKeyFor = Callable[[OfferId], bytes]
"""The key that hashes callers for an offer which names none of its own."""


class UnusableOfferError(Exception):
    """The offer can't be asked; the message says why, without any secret."""


@dataclass(frozen=True, slots=True)
class PingSide:
    """How bids are asked for and read."""

    endpoint: CompiledEndpoint
    answers: PingDialect


@dataclass(frozen=True, slots=True)
class PostSide:
    """How calls are handed over, and how that is answered."""

    endpoint: CompiledEndpoint
    answers: PostDialect


@dataclass(frozen=True, slots=True)
class OfferDialect:
    """One offer, compiled. Without ``post`` it bids and is never posted to.

    ``minimum_bid`` is a rendered amount, ``transport`` the one that its requests leave through, and
    ``proxy`` what they go through then.
    """

    minimum_bid: str
    ping: PingSide
    post: PostSide | None
    transport: Literal["native", "aiohttp"] = "native"
    proxy: Proxy | None = None


def compile_offer(offer: Offer, resolve: Resolve, hash_key_for: HashKeyFor) -> OfferDialect:
    """Compile an offer that is auctioned. Raises UnusableOfferError."""
    terms = offer.ping_post
    if terms is None:
        raise UnusableOfferError("the offer has no ping_post")
    keys = _Keys(offer, terms, resolve, hash_key_for)
    try:
        return OfferDialect(
            minimum_bid=render(terms.minimum_bid),
            ping=_ping_side(terms.ping, keys),
            post=None if terms.post is None else _post_side(terms.post, keys),
            transport=terms.transport,
            proxy=None if terms.proxy is None else compile_proxy(terms.proxy, resolve),
        )
    except (SecretUnavailableError, TemplateFaultError, ExpressionFaultError) as error:
        raise UnusableOfferError(str(error)) from None


Line = OfferDialect | str
"""How an offer is spoken to, or why it can't be asked."""


def compile_line(offer: Offer, resolve: Resolve, hash_key_for: HashKeyFor) -> Line:
    """As ``compile_offer``; whatever is wrong with one offer keeps no other from being asked."""
    try:
        return compile_offer(offer, resolve, hash_key_for)
    except UnusableOfferError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - one offer's bug must not keep the others out of force
        # Its text may hold a part of what it was about.
        return f"it can't be compiled ({type(error).__name__})"


@dataclass(frozen=True, slots=True)
class _Keys:
    offer: Offer
    terms: PingPost
    resolve: Resolve
    hash_key_for: HashKeyFor

    def rule(self, endpoint: Endpoint) -> CallerIdRule:
        mode = CallerIdMode(endpoint.caller_id)
        if mode is not CallerIdMode.HASHED:
            return CallerIdRule(mode)
        for level in (endpoint, self.terms, self.offer):
            if level.hash is not None:
                return CallerIdRule(mode)
            if level.hash_key is not None:
                return CallerIdRule(mode, self.resolve(level.hash_key).encode())
        return CallerIdRule(mode, self.hash_key_for(OfferId(self.offer.id)))


def _ping_side(ping: Endpoint, keys: _Keys) -> PingSide:
    mapping = None if ping.response is None else _mapping(ping.response, _spelled(ping.response))
    read_body = plain_dialect.read_ping if mapping is None else mapping.read_ping
    return PingSide(
        _endpoint(ping, plain_dialect.ping_body, keys),
        PingDialect(read_body, _statuses(ping.no_bid_statuses)),
    )


def _post_side(post: Endpoint, keys: _Keys) -> PostSide:
    mapping = None if post.response is None else _mapping(post.response, _spelled(post.response))
    read_body = plain_dialect.read_post if mapping is None else mapping.read_post
    return PostSide(
        _endpoint(post, plain_dialect.post_body, keys),
        PostDialect(read_body, post.idempotent),
    )


def _endpoint(
    endpoint: Endpoint, plain_body: plain_dialect.PlainBody, keys: _Keys
) -> CompiledEndpoint:
    rule, mapping = keys.rule(endpoint), keys.terms.mapping
    if mapping is not None:
        fields = compile_body("json", {**mapping}, rule)
        plain_body = plain_dialect.with_fields(plain_body, fields)
    return compile_endpoint(endpoint, rule, plain_body, keys.resolve)


@lru_cache(maxsize=SHARED)
def _mapping(response: Response, spelled: str) -> AnswerMapping:
    del spelled  # it only tells answers apart
    return compile_mapping(response)


def _spelled(response: Response) -> str:
    """Tells true from 1 as what an answer equals, which are the same to Python."""
    return response.model_dump_json()


@lru_cache(maxsize=SHARED)
def _statuses(statuses: tuple[int, ...]) -> frozenset[int]:
    return frozenset(statuses)
