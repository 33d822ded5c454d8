"""What the addresses of win and loss notices may hold."""

import pytest
from pydantic import ValidationError

from config.endpoints import Notices
from config.faults import faults_of

WON = "https://buyer.example/won?id={{ ping_id }}&price={{ price }}"
LOST = "https://buyer.example/lost/{{ offer }}?why={{ reason }}&code={{ code }}&bid={{ bid }}"


def faults(**urls: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Notices.model_validate(urls)
    return [str(fault) for fault in faults_of(caught.value, urls, lambda _: ())]


def test_addresses_stay_as_written() -> None:
    notices = Notices(won_url=WON, lost_url=LOST)
    assert (notices.won_url, notices.lost_url) == (WON, LOST)


def test_an_address_needs_no_tokens_and_an_offer_needs_not_both() -> None:
    notices = Notices(lost_url="http://buyer.example")
    assert (notices.won_url, notices.lost_url) == (None, "http://buyer.example")


def test_default_and_map_work_as_in_any_template() -> None:
    url = "https://buyer.example/?bid_id={{ bid_id | default: none }}"
    assert Notices(won_url=url).won_url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://buyer.example/?c={{ caller_id }}", "can't name `caller_id` here"),
        ("https://buyer.example/?z={{ fields.zip_code }}", "can't name `fields.zip_code` here"),
        ("https://buyer.example/?c={{ call_id }}", "can't name `call_id` here"),
        ("https://{{ offer }}.example/", "path and query only"),
        ("https://buyer.example{{ offer }}/", "path and query only"),
        ("{{ offer }}", "path and query only"),
        ("https://buyer.example/{{ offer", "no matching"),
        ("ftp://buyer.example/{{ offer }}", "path and query only"),
        ("ftp://buyer.example/", "http://"),
        ("https://me:secret@buyer.example/{{ offer }}", "must not carry a user"),
        ("https://buyer.example/{{ offer }}#x", "fragment"),
        ("https://buyer.example/a b{{ offer }}", "spaces"),
        ("https://buyer.example/{{ offer }}" + "x" * 2048, "at most 2048"),
        (7, "must be text"),
    ],
)
def test_other_tokens_and_odd_addresses_are_faults(url: object, words: str) -> None:
    for key in ("won_url", "lost_url"):
        (told,) = faults(**{key: url})
        assert told.startswith(key)
        assert words in told


def test_a_loser_is_never_told_the_price() -> None:
    (told,) = faults(lost_url="https://buyer.example/?p={{ price }}")
    assert "can't name `price` here" in told


def test_a_winner_has_no_reason() -> None:
    (told,) = faults(won_url="https://buyer.example/?p={{ reason }}")
    assert "can't name `reason` here: known are bid, bid_id, campaign, offer, ping_id" in told
