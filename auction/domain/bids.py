"""Is what a buyer offered a bid, and where would the call go?"""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from auction.domain.bidding import Bid, Quote, RefusedBid
from auction.domain.decimals import read_decimal
from auction.domain.filters import is_missing
from auction.domain.money import parse_amount
from auction.domain.phone import country_of, normalise_number
from auction.domain.reasons import Reason
from auction.domain.terms import Campaign, Destination, OfferTerms, PingPostTerms

LONGEST_VALIDITY_S: Final = 86_400
"""A bid that says it lives longer lives this long."""

LONGEST_BID_ID: Final = 256
LONGEST_URI: Final = 255
LONGEST_CALL_S: Final = 86_400

_SIP: Final = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[A-Za-z0-9\-_.!~*'()&=+$;/%:]+)@)?"
    r"(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
    r"(?:;[A-Za-z0-9\-_.!~*'()%+$:/\[\]&=;]+)?",
    re.ASCII | re.IGNORECASE,
)
"""No headers (``?``) and nothing that means something in dial strings: commas, bars, quotes."""

_ESCAPED_CONTROL: Final = re.compile(r"%(?:[01][0-9a-f]|7f)", re.IGNORECASE)
_TEL: Final = re.compile(r"tel:", re.IGNORECASE)


def judge(
    quote: Quote,
    offer: OfferTerms,
    campaign: Campaign,
    currency: str,
    now: datetime,
    default_country: str = "US",
) -> Bid | RefusedBid:
    """The bid that an acceptance makes, or why it makes none.

    ``currency`` is the marketplace's, ``now`` when the answer came (UTC), ``default_country`` that
    of destinations which are national numbers.
    """
    terms = offer.ping_post
    if terms is None:
        return RefusedBid(Reason.NOT_FOR_SALE)
    amount = _judge_amount(quote, terms, currency)
    if isinstance(amount, RefusedBid):
        return amount
    return _judge_rest(quote, offer, terms, campaign, amount, now, default_country)


def _judge_amount(quote: Quote, terms: PingPostTerms, currency: str) -> Decimal | RefusedBid:
    if quote.currency is not None and not _is_ours(quote.currency, currency):
        return RefusedBid(Reason.WRONG_CURRENCY)
    amount = parse_amount(quote.amount) if terms.fixed_amount is None else terms.fixed_amount
    if amount is None:
        return RefusedBid(Reason.INVALID_BID, "amount")
    if terms.maximum_bid is not None and amount > terms.maximum_bid:
        return RefusedBid(Reason.INVALID_BID, "amount above the maximum", amount)
    if amount < terms.minimum_bid:
        return RefusedBid(Reason.BELOW_MINIMUM, amount=amount)
    return amount


def _is_ours(named: object, currency: str) -> bool:
    if is_missing(named):
        return True
    return isinstance(named, str) and named.strip().casefold() == currency.casefold()


def _judge_rest(
    quote: Quote,
    offer: OfferTerms,
    terms: PingPostTerms,
    campaign: Campaign,
    amount: Decimal,
    now: datetime,
    default_country: str,
) -> Bid | RefusedBid:
    valid_s = terms.bid_valid_s if quote.expires_in_s is None else _validity(quote, terms)
    if valid_s is None:
        return RefusedBid(Reason.INVALID_BID, "expires_in_s", amount)
    if valid_s <= 0:
        return RefusedBid(Reason.EXPIRED, amount=amount)
    destination = offer.destination
    if quote.destination is not None:
        destination = resolve_destination(
            quote.destination, destination, campaign.allowed_countries, default_country
        )
    if destination is None:
        return RefusedBid(Reason.INVALID_BID, "destination", amount)
    bid_id = None if quote.bid_id is None else _read_bid_id(quote.bid_id)
    if isinstance(bid_id, RefusedBid):
        return replace(bid_id, amount=amount)
    return Bid(
        offer=offer.id,
        buyer=offer.buyer,
        amount=amount,
        priority=offer.priority,
        weight=offer.weight,
        expires_at=now + timedelta(seconds=valid_s),
        destination=destination,
        bid_id=bid_id,
        minimum_duration_s=None
        if quote.minimum_duration_s is None
        else _read_duration(quote.minimum_duration_s),
    )


def _validity(quote: Quote, terms: PingPostTerms) -> float | None:
    """For how many seconds the bid holds; None when the buyer's figure can't be read."""
    if is_missing(quote.expires_in_s):
        return terms.bid_valid_s
    seconds = read_decimal(quote.expires_in_s)
    return None if seconds is None else min(float(seconds), LONGEST_VALIDITY_S)


def _read_bid_id(named: object) -> str | RefusedBid | None:
    if is_missing(named):
        return None
    text = str(named).strip() if isinstance(named, str | int | Decimal) else ""
    if isinstance(named, bool) or not text or len(text) > LONGEST_BID_ID or not text.isprintable():
        return RefusedBid(Reason.INVALID_BID, "bid_id")
    return text


def _read_duration(named: object) -> int | None:
    seconds = read_decimal(named)
    if seconds is None or not 0 <= seconds <= LONGEST_CALL_S:
        return None
    return int(seconds)


def resolve_destination(
    raw: object, base: Destination | None, allowed_countries: frozenset[str], default_country: str
) -> Destination | None:
    """Where a buyer wants the call, on the base's dialling terms; None when not acceptable.

    ``raw`` is a ``sip:``, ``sips:`` or ``tel:`` address or a bare number (text or int); nothing
    there gives ``base``. An empty ``allowed_countries`` allows all.
    """
    if is_missing(raw):
        return base
    text = str(raw) if isinstance(raw, int) else raw
    if not isinstance(text, str) or len(text) > LONGEST_URI:
        return None
    uri = _read_uri(text.strip(" "), allowed_countries, default_country)
    if uri is None:
        return None
    return Destination(uri) if base is None else replace(base, uri=uri)


def _read_uri(text: str, allowed_countries: frozenset[str], default_country: str) -> str | None:
    sip = _SIP.fullmatch(text)
    if sip is None:
        number = _read_number(text, default_country)
        allowed = number is not None and _is_allowed(number, allowed_countries)
        return f"tel:{number}" if allowed else None
    if _ESCAPED_CONTROL.search(text):
        return None
    user = sip["user"] or ""
    dialled = normalise_number(user, default_country) if user.startswith("+") else None
    if dialled is not None and not _is_allowed(dialled, allowed_countries):
        return None
    return sip["scheme"].lower() + text[len(sip["scheme"]) :]


def _read_number(text: str, default_country: str) -> str | None:
    scheme = _TEL.match(text)
    number = text if scheme is None else text[scheme.end() :]
    # Only a number itself: an extension or a phone context would be lost.
    if ":" in number or ";" in number or "@" in number:
        return None
    return normalise_number(number, default_country)


def _is_allowed(number: str, allowed_countries: frozenset[str]) -> bool:
    return not allowed_countries or country_of(number) in allowed_countries
