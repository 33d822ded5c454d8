import pytest

from buyers.wording import clean_detail


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, None),
        ("", None),
        ("   ", None),
        ("cap reached", "cap reached"),
        (17, "17"),
        (True, "true"),
        (["a"], None),
        ({"a": 1}, None),
        ("line\r\nSet-Cookie: x\x00", "lineSet-Cookie: x"),
        ("caller +13105551234 is blocked", "caller *** is blocked"),
        ("13105551234", "***"),
        ("call 5551234", "call ***"),
        ("call 555123", "call 555123"),
        ("(310) 555-1234", "(***"),
        ("+1 310.555.1234!", "***!"),
        ("zip 90210, code 4004", "zip 90210, code 4004"),
        ("310555\u200b1234", "***"),
    ],
)
def test_a_buyers_words_are_made_fit_for_a_trace(value: object, detail: str | None) -> None:
    assert clean_detail(value) == detail


def test_long_words_are_cut() -> None:
    assert clean_detail("no " * 10_000) == ("no " * 67)[:200]


def test_a_number_at_the_cut_is_masked_whole() -> None:
    detail = clean_detail("x" * 195 + "13105551234")

    assert detail == "x" * 195 + "***"
