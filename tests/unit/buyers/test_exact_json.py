import random
from collections.abc import Callable
from decimal import Decimal

import pytest

from buyers.exact_json import MalformedAnswerError, exactly, parse_json


def bid_of(document: object) -> object:
    return document.get("bid") if isinstance(document, dict) else None


def exact_bid(body: bytes, find: Callable[[object], object] = bid_of) -> object:
    found = find(parse_json(body))
    return exactly(found, body, find) if isinstance(found, float) else found


@pytest.mark.parametrize(
    ("number", "amount"),
    [
        ("52", "52"),
        ("52.5", "52.5"),
        ("52.50", "52.50"),
        ("5.25e1", "52.5"),
        ("52.99999999999999999999", "52.99999999999999999999"),
        ("0.1", "0.1"),
        ("1e400", "1E+400"),
        ("-1e400", "-1E+400"),
        ("18446744073709551616", "18446744073709551616"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_number_is_what_its_digits_say(number: str, amount: str) -> None:
    found = exact_bid(b'{"bid": %b}' % number.encode())

    assert isinstance(found, int | Decimal)
    assert found == Decimal(amount)


def test_an_exponent_beyond_decimal_is_far_above_every_amount() -> None:
    found = exact_bid(b'{"bid": 1e99999999999999999999}')

    assert isinstance(found, Decimal)
    assert found > 10_000


def test_a_number_too_small_for_a_float_is_below_every_amount() -> None:
    found = exact_bid(b'{"bid": 1e-400}')

    assert isinstance(found, Decimal)
    assert 0 <= found < Decimal("0.0001")


def test_numbers_of_fifteen_digits_need_no_second_reading() -> None:
    source = random.Random(17)
    for _ in range(20_000):
        digits = str(source.randrange(10**14))
        place = source.randrange(len(digits))
        text = f"{digits[:place] or '0'}.{digits[place:]}"
        assert exact_bid(b'{"bid": %b}' % text.encode()) == Decimal(text)


def test_a_long_number_elsewhere_does_not_disturb() -> None:
    assert exact_bid(b'{"id": 12345678901234567890.5, "bid": 52.5}') == Decimal("52.5")


def test_a_number_that_the_expression_computes_is_taken_as_it_is() -> None:
    def half(document: object) -> object:
        bid = bid_of(document)
        return bid / 2 if isinstance(bid, float) else None

    assert exact_bid(b'{"bid": 105.00000000000000000}', half) == Decimal("52.5")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"NaN",
        b'{"bid": NaN}',
        b'{"bid": Infinity}',
        b'{"bid": -Infinity}',
        b'{"bid": 52.50',
        b'{"bid": 052}',
        b'{"bid": 52,}',
        b"{'bid': 52}",
        b'{"bid": 52} {"bid": 53}',
        b'"\xff\xfe"',
        b'{"bid": 1e400, "reason": "\\ud800"}',
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 10_000,
    ],
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        parse_json(body)


def test_the_message_quotes_nothing_of_the_answer() -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        parse_json(b"+13105551234")

    assert str(caught.value) == "not JSON"


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_json(b'\xef\xbb\xbf{"bid": 52}') == {"bid": 52}


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_json(b'["\\ud83d\\ude00", 1e400]') == ["\U0001f600", Decimal("1e400")]
