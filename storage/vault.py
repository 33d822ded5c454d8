"""The caller's identity and the call's fields: hashed to be found again, sealed to be kept."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from auction.domain.call import Call, Caller, FieldValue
from auction.domain.ids import CallId, OfferId, PoolId
from config.secret_box import SecretBox


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What was sealed with a call."""

    caller: Caller
    fields: Mapping[str, FieldValue]


_ERASED: Final = Unsealed(Caller(), {})


class CallerVault:
    """Keeps callers' numbers and calls' fields out of the tables' plain columns.

    ``identity_key`` is never rotated: with another key no caller would be recognised again.
    """

    __slots__ = ("_box", "_identity_key")

    def __init__(self, box: SecretBox, identity_key: bytes) -> None:
        self._box = box
        self._identity_key = identity_key

    def hash(self, number: str | None) -> bytes | None:
        """HMAC-SHA-256 of an E.164 number; None for a withheld one."""
        return None if number is None else self.hash_number(number)

    def hash_number(self, number: str) -> bytes:
        """HMAC-SHA-256 of an E.164 number."""
        return hmac.digest(self._identity_key, number.encode(), "sha256")

    def hash_key_for(self, offer: OfferId) -> bytes:
        """The key by which an offer's buyer gets callers hashed, for one that names none."""
        return hmac.digest(self._identity_key, b"hash key of offer " + offer.encode(), "sha256")

    def fingerprint(self, content: bytes) -> bytes:
        """HMAC-SHA-256 of a request: tells repeats apart without telling what was in them."""
        return hmac.digest(self._identity_key, b"fingerprint of " + content, "sha256")

    def seal(self, call: Call) -> bytes:
        """The caller and the fields, sealed for this call alone."""
        caller = call.caller
        plain = (
            (caller.number, caller.area_code, caller.state, caller.country),
            call.fields,
        )
        return self._box.seal(orjson.dumps(plain), call.call_id.encode())

    def session(self, pool: PoolId, session_id: str) -> bytes:
        """What a visitor's session is known by: HMAC-SHA-256, other in every pool."""
        return hmac.digest(self._identity_key, f"session of {pool} {session_id}".encode(), "sha256")

    def seal_tags(self, tags: Mapping[str, FieldValue], lease: str) -> bytes:
        """The tags of a lease, sealed for it alone."""
        return self._box.seal(orjson.dumps(tags), b"lease " + lease.encode())

    def open_tags(self, sealed: bytes, lease: str) -> Mapping[str, FieldValue]:
        """What ``seal_tags`` was given. Raises SecretBoxError: it was sealed under another key."""
        tags: Mapping[str, FieldValue] = orjson.loads(
            self._box.open(sealed, b"lease " + lease.encode())
        )
        return tags

    def open(self, sealed: bytes, call_id: CallId) -> Unsealed:
        """What ``seal`` was given; nothing where that was erased.

        Raises SecretBoxError when it was sealed under another key.
        """
        if not sealed:
            return _ERASED
        caller, fields = orjson.loads(self._box.open(sealed, call_id.encode()))
        return Unsealed(Caller(*caller), fields)
