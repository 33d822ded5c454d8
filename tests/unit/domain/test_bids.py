"""Which offers of money are bids, and where the call would go."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.bidding import Bid, Quote, RefusedBid
from auction.domain.bids import judge, resolve_destination
from auction.domain.reasons import Reason
from auction.domain.terms import Destination, OfferTerms
from tests.builders import NOON, a_campaign, a_static_offer, an_offer, ping_post

OFFER = an_offer(priority=3, weight=7)
BASE = Destination("sip:acme-auto@buyer.example", 20, send_digits="1", whisper="hello")
US = frozenset({"US"})


def judged(offer: OfferTerms = OFFER, **quoted: Any) -> Bid | RefusedBid:
    """What becomes of a quote of 52.00 with these changes."""
    return judge(Quote(**{"amount": "52.00", **quoted}), offer, a_campaign(offer), "USD", NOON)


def accepted(offer: OfferTerms = OFFER, **quoted: Any) -> Bid:
    """The bid that a quote makes."""
    bid = judged(offer, **quoted)
    assert isinstance(bid, Bid), bid
    return bid


def terms(**changes: Any) -> OfferTerms:
    """An offer whose ping-post terms have these changes."""
    return an_offer(ping_post=ping_post(**changes))


def test_a_plain_quote_is_a_bid_on_the_offers_own_terms() -> None:
    assert OFFER.destination is not None
    assert judged() == Bid(
        offer=OFFER.id,
        buyer=OFFER.buyer,
        amount=Decimal("52.00"),
        priority=3,
        weight=7,
        expires_at=NOON + timedelta(seconds=60),
        destination=OFFER.destination,
    )


def test_everything_that_a_buyer_may_say_is_kept() -> None:
    bid = accepted(
        amount=Decimal("41.5"),
        currency="usd",
        bid_id="b-1",
        destination="tel:+18885550142",
        expires_in_s=30,
        minimum_duration_s=90,
    )
    assert bid.amount == Decimal("41.50")
    assert bid.bid_id == "b-1"
    assert bid.destination == Destination("tel:+18885550142", 20)
    assert bid.expires_at == NOON + timedelta(seconds=30)
    assert bid.minimum_duration_s == 90


@pytest.mark.parametrize("currency", [None, "", " ", "USD", "usd", " Usd "])
def test_our_currency_may_be_left_out(currency: str | None) -> None:
    assert isinstance(judged(currency=currency), Bid)


@pytest.mark.parametrize("currency", ["EUR", "US", 840, True, "$"])
def test_another_currency_is_refused(currency: object) -> None:
    assert judged(currency=currency) == RefusedBid(Reason.WRONG_CURRENCY)


@pytest.mark.parametrize("amount", [None, "", 0, "-5", "NaN", "1e400", "1,000", 52.0, True, []])
def test_what_is_no_amount_is_no_bid(amount: object) -> None:
    assert judged(amount=amount) == RefusedBid(Reason.INVALID_BID, "amount")


def test_the_currency_is_looked_at_before_the_amount() -> None:
    assert judged(currency="EUR", amount="x") == RefusedBid(Reason.WRONG_CURRENCY)


@pytest.mark.parametrize("amount", ["30", "30.0000"])
def test_the_minimum_itself_is_enough(amount: str) -> None:
    assert accepted(amount=amount).amount == 30


def test_a_bid_below_the_minimum_is_refused_with_its_amount() -> None:
    refused = RefusedBid(Reason.BELOW_MINIMUM, amount=Decimal("29.9999"))
    assert judged(amount="29.99999") == refused


def test_a_bid_above_the_maximum_is_invalid() -> None:
    offer = terms(maximum_bid=Decimal(60))
    assert accepted(offer, amount="60").amount == 60
    refused = RefusedBid(Reason.INVALID_BID, "amount above the maximum", Decimal("60.0001"))
    assert judged(offer, amount="60.0001") == refused


@pytest.mark.parametrize("amount", [None, "99", "junk", 1e400])
def test_a_fixed_amount_stands_whatever_the_buyer_says(amount: object) -> None:
    assert accepted(terms(fixed_amount=Decimal(45)), amount=amount).amount == 45


def test_a_fixed_amount_is_held_to_the_minimum_too() -> None:
    refused = judged(terms(fixed_amount=Decimal(5)))
    assert refused == RefusedBid(Reason.BELOW_MINIMUM, amount=Decimal(5))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, 45),
        ("", 45),
        (30, 30),
        ("30", 30),
        (" 1.5 ", 1.5),
        (Decimal("0.5"), 0.5),
        (86_400, 86_400),
        (10**9, 86_400),
        ("999999999", 86_400),
    ],
)
def test_a_bid_lives_as_long_as_it_says_or_as_the_offer_does(said: object, seconds: float) -> None:
    bid = accepted(terms(bid_valid_s=45), expires_in_s=said)
    assert bid.expires_at == NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize("said", [0, "0", -1, "-0.5", Decimal(-(10**9))])
def test_a_bid_that_is_over_when_it_comes_is_expired(said: object) -> None:
    assert judged(expires_in_s=said) == RefusedBid(Reason.EXPIRED, amount=Decimal(52))


@pytest.mark.parametrize("said", ["soon", True, [], "NaN", Decimal("Infinity"), 10**400])
def test_an_expiry_that_can_not_be_read_makes_the_bid_invalid(said: object) -> None:
    refused = RefusedBid(Reason.INVALID_BID, "expires_in_s", Decimal(52))
    assert judged(expires_in_s=said) == refused


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (0, 0),
        (90, 90),
        ("90", 90),
        (Decimal("89.9"), 89),
        (None, None),
        ("", None),
        (-1, None),
        ("long", None),
        (True, None),
        (86_400, 86_400),
        (86_401, None),
    ],
)
def test_a_minimum_duration_is_kept_when_it_can_be_read(said: object, kept: int | None) -> None:
    assert accepted(minimum_duration_s=said).minimum_duration_s == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("abc-1", "abc-1"),
        (" abc ", "abc"),
        (12345, "12345"),
        (Decimal(77), "77"),
        ("x" * 256, "x" * 256),
        ("Ünïcode", "Ünïcode"),
    ],
)
def test_a_bid_id_is_kept_as_text(said: object, kept: str | None) -> None:
    assert accepted(bid_id=said).bid_id == kept


@pytest.mark.parametrize(
    "said", ["x" * 257, "a\nb", "a\x00b", "a\u2028b", "\ud800", True, [], {"id": 1}, 1.5]
)
def test_a_bid_id_that_no_one_could_use_makes_the_bid_invalid(said: object) -> None:
    assert judged(bid_id=said) == RefusedBid(Reason.INVALID_BID, "bid_id", Decimal(52))


@pytest.mark.parametrize("said", ["http://evil.example/", "alice", 10**60, True, []])
def test_a_destination_that_is_none_makes_the_bid_invalid(said: object) -> None:
    refused = RefusedBid(Reason.INVALID_BID, "destination", Decimal(52))
    assert judged(destination=said) == refused


@pytest.mark.parametrize("posts", [True, False])
def test_a_bid_must_bring_a_destination_where_the_offer_has_none(posts: bool) -> None:
    offer = an_offer(destination=None, ping_post=ping_post(posts=posts))
    refused = RefusedBid(Reason.INVALID_BID, "destination", Decimal(52))
    assert judged(offer) == judged(offer, destination="") == refused
    assert judged(offer, destination="ftp://x") == refused
    assert accepted(offer, destination="8885550142").destination == Destination("tel:+18885550142")


def test_a_national_number_is_read_in_the_country_that_is_given() -> None:
    campaign = a_campaign(OFFER, allowed_countries=frozenset({"GB"}))
    quote = Quote("52", destination="020 7183 8750")
    bid = judge(quote, OFFER, campaign, "USD", NOON, "GB")
    assert isinstance(bid, Bid)
    assert bid.destination == Destination("tel:+442071838750", 20)


def test_an_offer_that_does_not_bid_has_no_bid() -> None:
    assert judged(a_static_offer()) == RefusedBid(Reason.NOT_FOR_SALE)


@pytest.mark.parametrize(
    ("said", "uri"),
    [
        ("sip:sales@acme.example", "sip:sales@acme.example"),
        ("SIPS:sales@acme.example:5061", "sips:sales@acme.example:5061"),
        ("sip:acme.example", "sip:acme.example"),
        ("sip:auto@127.0.0.1:5071;transport=tcp", "sip:auto@127.0.0.1:5071;transport=tcp"),
        ("sip:auto@[2001:db8::1]:5060", "sip:auto@[2001:db8::1]:5060"),
        ("sip:+13105551234@acme.example", "sip:+13105551234@acme.example"),
        ("sip:+1x@acme.example", "sip:+1x@acme.example"),
        (" sip:a@b ", "sip:a@b"),
        ("sip:a@" + "b" * 249, "sip:a@" + "b" * 249),
        ("tel:+18885550142", "tel:+18885550142"),
        ("TEL:+1-888-555-0142", "tel:+18885550142"),
        ("+18885550142", "tel:+18885550142"),
        ("(888) 555-0142", "tel:+18885550142"),
        (8885550142, "tel:+18885550142"),
        (18885550142, "tel:+18885550142"),
    ],
)
def test_a_destination_is_sip_tel_or_a_number(said: object, uri: str) -> None:
    resolved = resolve_destination(said, BASE, US, "US")
    assert resolved == Destination(uri, 20, send_digits="1", whisper="hello")


@pytest.mark.parametrize("said", [None, "", "  "])
def test_no_destination_leaves_the_base(said: object) -> None:
    assert resolve_destination(said, BASE, US, "US") == BASE
    assert resolve_destination(said, None, US, "US") is None


@pytest.mark.parametrize(
    "said",
    [
        "sip:",
        "sip:@host",
        "sip:a@",
        "sip:a b@host",
        "sip:a@host\r\nVia: x",
        "sip:a@host\n",
        "\tsip:a@host",
        "sip:a%0d%0aVia@host",
        "sip:a@host?Route=evil",
        "sip:a@host,sofia/gateway/pstn/+8821234567",
        "sip:a@host|b",
        "sip:a@host:port",
        "sip:ä@host",
        "sip:a@" + "b" * 250,
        "sip:" + "a" * 300 + "@host",
        "http://host/",
        "javascript:alert(1)",
        "urn:service:sos",
        "tel:",
        "tel:alice",
        "tel:+18885550142;ext=5",
        "tel:5550142;phone-context=+1310",
        "sales@acme.example",
        "+18885550142@host",
        "911",
        "+442071838750",
        "tel:+442071838750",
        "tel:+18765551234",
        "sip:+442071838750@gateway.example",
        "+8821612345678",
        True,
        False,
        8885550142.0,
        b"sip:a@host",
        ["sip:a@host"],
    ],
)
def test_what_is_no_destination_is_not_accepted(said: object) -> None:
    assert resolve_destination(said, BASE, US, "US") is None


def test_a_country_that_is_allowed_may_be_called() -> None:
    allowed = frozenset({"US", "GB"})
    resolved = resolve_destination("+442071838750", None, allowed, "US")
    assert resolved == Destination("tel:+442071838750")


def test_without_a_list_of_countries_all_are_allowed() -> None:
    assert resolve_destination("+442071838750", None, frozenset(), "US") is not None
