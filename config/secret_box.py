"""Sealing of secrets for storage: AES-256-GCM under the deployment's SECRET_KEY."""

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_FORMAT: Final = b"\x01"
_TEXT_FORMAT: Final = "v1."
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


class SecretBoxError(Exception):
    """A sealed secret can't be opened: damaged, for another purpose, or under another key."""


def new_key() -> str:
    """A fresh key for SECRET_KEY: 32 random bytes in url-safe base64."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def read_key(text: str) -> bytes:
    """The bytes of a key in url-safe base64. Raises ValueError, which never repeats the text."""
    padded = text.strip() + "=" * (-len(text.strip()) % 4)
    try:
        key = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not url-safe base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} bytes in url-safe base64, it has {len(key)}")
    return key


class SecretBox:
    """Seals and opens with one key of 32 bytes."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._cipher = AESGCM(key)

    def seal(self, data: bytes, associated: bytes = b"") -> bytes:
        """``data`` sealed; opening needs the same ``associated`` data, which is not kept in it."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, data, associated)

    def open(self, sealed: bytes, associated: bytes = b"") -> bytes:
        """What was sealed. Raises SecretBoxError."""
        if not sealed.startswith(_FORMAT) or len(sealed) < 1 + _NONCE_BYTES + _TAG_BYTES:
            raise SecretBoxError("not a sealed secret of a known format")
        try:
            return self._cipher.decrypt(
                sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], associated
            )
        except InvalidTag:
            raise SecretBoxError(
                "sealed under another key, for another purpose, or damaged"
            ) from None

    def seal_text(self, text: str, associated: bytes = b"") -> str:
        """``text`` sealed, as text: ``v1.`` and url-safe base64."""
        sealed = self.seal(text.encode(), associated)
        return _TEXT_FORMAT + base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open_text(self, sealed: str, associated: bytes = b"") -> str:
        """What ``seal_text`` sealed. Raises SecretBoxError."""
        if not sealed.startswith(_TEXT_FORMAT):
            raise SecretBoxError("not a sealed secret of a known format")
        body = sealed.removeprefix(_TEXT_FORMAT)
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise SecretBoxError("not url-safe base64") from None
        return self.open(raw, associated).decode()
