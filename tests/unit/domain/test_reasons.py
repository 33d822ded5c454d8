"""The published numbers of reasons."""

from auction.domain.ids import BuyerId, OfferId, buyer_owner, offer_owner
from auction.domain.leases import Exhausted
from auction.domain.next_attempt import FailReason
from auction.domain.reasons import Reason

PUBLISHED = {
    "no_bid": 0,
    "standby": 1,
    "error": 100,
    "timeout": 101,
    "malformed_reply": 102,
    "unreachable": 103,
    "bad_status": 104,
    "oversize_reply": 105,
    "not_awaited": 106,
    "not_asked": 200,
    "paused": 201,
    "closed": 202,
    "holiday": 203,
    "missing_field": 204,
    "filtered": 205,
    "cap_reached": 206,
    "concurrency_full": 207,
    "duplicate_caller": 208,
    "suppressed": 209,
    "breaker_open": 210,
    "throttled": 211,
    "budget_too_small": 212,
    "not_for_sale": 213,
    "source_blocked": 214,
    "number_excluded": 221,
    "outbound_limit": 215,
    "overloaded": 216,
    "invalid_field": 217,
    "consent_missing": 218,
    "consent_expired": 219,
    "outside_segment": 220,
    "below_minimum": 301,
    "invalid_bid": 302,
    "wrong_currency": 303,
    "expired": 304,
    "outbid": 305,
    "cap_lost": 306,
    "post_rejected": 401,
    "post_unknown": 402,
    "post_error": 403,
    "no_answer": 501,
    "busy": 502,
    "dial_failed": 503,
    "short_call": 504,
    "caller_gone": 505,
}


def test_published_numbers_never_change() -> None:
    numbers = {reason.outcome: int(reason) for reason in Reason}
    assert {name: numbers[name] for name in PUBLISHED} == PUBLISHED


def test_no_number_is_used_twice() -> None:
    assert len({int(reason) for reason in Reason}) == len(Reason.__members__)


def test_owners_of_caps_are_told_apart() -> None:
    assert offer_owner(OfferId("acme")) == "offer:acme"
    assert buyer_owner(BuyerId("acme")) == "buyer:acme"


def test_what_a_switch_says_of_a_failed_attempt_has_its_number() -> None:
    assert {each.value: int(each.reason) for each in FailReason} == {
        "busy": 502,
        "no_answer": 501,
        "failed": 503,
        "short_call": 504,
    }


def test_every_reason_is_told_in_a_sentence_of_its_own() -> None:
    meanings = {reason.meaning for reason in Reason}
    assert len(meanings) == len(Reason)
    assert all(meanings)


def test_why_no_number_is_lent_is_said_in_the_words_of_the_api() -> None:
    assert {each.value for each in Exhausted} == {"pool_exhausted", "pool_cap", "source_cap"}
