"""Everything that talks to buyers over HTTP, for one revision of the marketplace."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from auction.domain.bidding import PingFault, PingReply, PostNotSent, PostReply, PostUnknown
from auction.domain.call import Call, FieldValue
from auction.domain.ids import OfferId
from auction.domain.money import render
from auction.domain.reasons import Reason
from auction.domain.terms import Campaign
from auction.ports import PingOrder, PostOrder
from buyers.dialect import PostDialect, PostTry
from buyers.offer_dialect import (
    HashKeyFor,
    Line,
    OfferDialect,
    UnusableOfferError,
    compile_line,
)
from buyers.plain_dialect import render_call
from buyers.post_retry import PostLimits, PostTries
from buyers.proxying import ProxyingTransport
from buyers.tokens import Occasion
from buyers.transport import Answer, Origin, Transport
from config.marketplace import Marketplace
from config.sealing import resolve_secret
from config.secret_box import SecretBox
from config.secret_values import Secret

_log = logging.getLogger(__name__)

_OUR_FAULT = PingFault(Reason.ERROR, "internal error", blames_buyer=False)
_MAYBE_SENT = PostUnknown("internal error", blames_buyer=False)
_NEVER_SENT = PostNotSent("internal error", blames_buyer=False)


def compile_gateway(
    marketplace: Marketplace,
    *,
    transport: Transport,
    aiohttp: Transport | None = None,
    environ: Mapping[str, str],
    box: SecretBox | None,
    hash_key_for: HashKeyFor,
    clock: Callable[[], float] = time.time,
) -> "HttpBuyerGateway":
    """The gateway for a marketplace.

    ``aiohttp`` is for the offers that ask for it, which go through ``transport`` too without it.
    ``box`` opens sealed secrets, ``environ`` has the others; ``clock`` is the wall clock in Unix
    seconds.
    """
    chosen: Mapping[str, Transport] = {"native": transport, "aiohttp": aiohttp or transport}

    def resolve(secret: Secret) -> str:
        return resolve_secret(secret, box, environ)

    lines = {
        OfferId(offer.id): compile_line(offer, resolve, hash_key_for)
        for buyer in marketplace.buyers
        for offer in buyer.offers
        if offer.ping_post is not None
    }
    return HttpBuyerGateway(lines, chosen, clock)


class HttpBuyerGateway:
    """The ``BuyerGateway`` over HTTP, to offers that ``compile_line`` has compiled."""

    def __init__(
        self,
        lines: Mapping[OfferId, Line],
        transports: Mapping[str, Transport],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._compiled = lines
        self._transports = transports
        self._clock = clock
        self._lines: dict[OfferId, _Line] = {}
        self._shown: _Shown | None = None

    def ping(self, order: PingOrder) -> asyncio.Future[PingReply]:
        """See ``BuyerGateway.ping``."""
        try:
            line = self._lines.get(order.offer.id) or self._line(order.offer.id)
            occasion = self._ping_occasion(order, line.dialect)
            prepared = line.prepare_ping(occasion, int(self._clock()))
            return line.transport.request(prepared, line.read_ping)
        except UnusableOfferError as error:
            return _done(PingFault(Reason.NOT_ASKED, str(error), blames_buyer=False))
        except Exception as error:  # noqa: BLE001 - one offer's bug never reaches the fan-out
            _log_crash("ping crashed", order.offer.id, error)
            return _done(_OUR_FAULT)

    async def post(self, order: PostOrder) -> PostReply:
        """See ``BuyerGateway.post``."""
        try:
            line = self._line(order.offer.id)
            send = self._sender(line, order)
        except UnusableOfferError as error:
            return PostNotSent(str(error), blames_buyer=False)
        except Exception as error:  # noqa: BLE001 - nothing has been sent yet
            _log_crash("post crashed", order.offer.id, error)
            return _NEVER_SENT
        try:
            return await PostTries(send, _limits(order), now=self._now).run()
        except Exception as error:  # noqa: BLE001 - the buyer may have it, so it is unknown
            _log_crash("post crashed", order.offer.id, error)
            return _MAYBE_SENT

    def unusable(self) -> dict[OfferId, str]:
        """The offers that can't be asked, and why."""
        return {offer: why for offer, why in self._compiled.items() if isinstance(why, str)}

    def native_origins(self) -> list[Origin]:
        """Where offers send to by the native transport."""
        found = [
            side.endpoint.origin
            for line in self._compiled.values()
            if not isinstance(line, str) and line.transport == "native"
            for side in (line.ping, line.post)
            if side is not None
        ]
        return list(dict.fromkeys(found))

    def _sender(
        self, line: "_Line", order: PostOrder
    ) -> Callable[[Callable[[], None]], Awaitable[PostTry]]:
        side = line.dialect.post
        if side is None:
            raise UnusableOfferError("the offer has no address to post to")
        occasion = _post_occasion(order, line.dialect)
        prepared = side.endpoint.prepare(occasion, int(self._clock()))
        read = partial(line.read_post, side.answers)
        return lambda opened: line.transport.request(prepared, read, opened)

    def _line(self, offer: OfferId) -> "_Line":
        line = self._lines.get(offer)
        if line is None:
            line = self._lines[offer] = self._open_line(offer)
        return line

    def _open_line(self, offer: OfferId) -> "_Line":
        compiled = self._compiled.get(offer, "the offer is not in this revision")
        if isinstance(compiled, str):
            raise UnusableOfferError(compiled)
        return _Line(offer, compiled, self._transport_of(compiled))

    def _transport_of(self, dialect: OfferDialect) -> Transport:
        transport = self._transports[dialect.transport]
        if dialect.proxy is None:
            return transport
        if not isinstance(transport, ProxyingTransport):
            raise UnusableOfferError("its transport knows no proxies")
        return transport.through(dialect.proxy)

    def _ping_occasion(self, order: PingOrder, dialect: OfferDialect) -> Occasion:
        shown = self._shown
        if shown is None or shown.call is not order.call or shown.campaign is not order.campaign:
            shown = self._shown = _Shown(order.call, order.campaign)
        return Occasion(
            order.call,
            order.campaign.id,
            order.offer.id,
            order.ping_id,
            shown.fields,
            dialect.minimum_bid,
            order.timeout_ms,
            None,
            None,
            None,
            shown.rendered,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _limits(order: PostOrder) -> PostLimits:
    terms = order.offer.ping_post
    idempotent = terms is not None and terms.post_idempotent
    return PostLimits(order.timeout_ms / 1000, order.within_ms / 1000, idempotent)


class _Line:
    """A compiled offer whose readers never raise."""

    __slots__ = ("_offer", "_read_ping", "dialect", "prepare_ping", "transport")

    def __init__(self, offer: OfferId, dialect: OfferDialect, transport: Transport) -> None:
        self._offer = offer
        self._read_ping = dialect.ping.answers.read
        self.dialect = dialect
        self.prepare_ping = dialect.ping.endpoint.prepare
        self.transport = transport

    def read_ping(self, answer: Answer) -> PingReply:
        try:
            return self._read_ping(answer)
        except Exception as error:  # noqa: BLE001 - whatever a buyer sends is a value
            _log_crash("reading a ping's answer crashed", self._offer, error)
            return _OUR_FAULT

    def read_post(self, answers: PostDialect, answer: Answer) -> PostTry:
        try:
            return answers.read(answer)
        except Exception as error:  # noqa: BLE001 - whatever a buyer sends is a value
            _log_crash("reading a post's answer crashed", self._offer, error)
            return PostTry(_MAYBE_SENT)


class _Shown:
    """What a campaign's bidders may see of a call, made once for all its pings."""

    __slots__ = ("call", "campaign", "fields", "rendered")

    def __init__(self, call: Call, campaign: Campaign) -> None:
        self.call = call
        self.campaign = campaign
        self.fields = _without(call.fields, campaign.private_fields)
        self.rendered = render_call(call.caller, self.fields)


def _post_occasion(order: PostOrder, dialect: OfferDialect) -> Occasion:
    candidate = order.candidate
    return Occasion(
        order.call,
        order.campaign.id,
        order.offer.id,
        candidate.ping_id,
        order.call.fields,
        dialect.minimum_bid,
        order.timeout_ms,
        render(candidate.price),
        candidate.bid_id,
        candidate.post_id,
    )


def _without(fields: Mapping[str, FieldValue], private: frozenset[str]) -> Mapping[str, FieldValue]:
    if private.isdisjoint(fields):
        return fields
    return {name: value for name, value in fields.items() if name not in private}


def _done(reply: PingReply) -> asyncio.Future[PingReply]:
    future: asyncio.Future[PingReply] = asyncio.get_running_loop().create_future()
    future.set_result(reply)
    return future


def _log_crash(message: str, offer: OfferId, error: Exception) -> None:
    """Tells where it crashed; an exception's own text may hold what a request or an answer held."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    _log.error(message, extra={"offer": offer, "error": type(error).__name__, "place": place})
