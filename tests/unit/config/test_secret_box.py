"""Sealing: what comes out is what went in, and nothing else opens."""

import base64

import pytest

from config.secret_box import SecretBox, SecretBoxError, new_key, read_key

BOX = SecretBox(bytes(range(32)))


def test_what_is_sealed_opens() -> None:
    assert BOX.open(BOX.seal(b"hush", b"purpose"), b"purpose") == b"hush"
    assert BOX.open_text(BOX.seal_text("hüsh", b"purpose"), b"purpose") == "hüsh"


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    assert BOX.seal(b"hush") != BOX.seal(b"hush")
    assert b"hush" not in BOX.seal(b"hush")


def test_it_does_not_open_for_another_purpose() -> None:
    with pytest.raises(SecretBoxError):
        BOX.open(BOX.seal(b"hush", b"one"), b"other")


def test_it_does_not_open_under_another_key() -> None:
    with pytest.raises(SecretBoxError):
        SecretBox(bytes(32)).open(BOX.seal(b"hush"))


@pytest.mark.parametrize("position", range(len(BOX.seal(b"hush"))))
def test_it_does_not_open_when_any_byte_is_changed(position: int) -> None:
    sealed = bytearray(BOX.seal(b"hush"))
    sealed[position] ^= 1
    with pytest.raises(SecretBoxError):
        BOX.open(bytes(sealed))


@pytest.mark.parametrize("text", ["", "hush", "v1.", "v1.%%%", "v2.AAAA", "v1.AAAA"])
def test_other_texts_do_not_open(text: str) -> None:
    with pytest.raises(SecretBoxError):
        BOX.open_text(text)


def test_a_new_key_can_be_read() -> None:
    assert len(read_key(new_key())) == 32
    assert new_key() != new_key()


def test_a_key_may_lack_its_padding() -> None:
    assert read_key(new_key().rstrip("=")) is not None


@pytest.mark.parametrize(
    "text", ["", "hush", base64.urlsafe_b64encode(b"x" * 31).decode(), "é" * 43]
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="base64") as raised:
        read_key(text)
    assert not text or text not in str(raised.value)


def test_a_box_needs_a_key_of_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SecretBox(b"short")
