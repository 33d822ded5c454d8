"""The addresses that an answer gives to the switch, to be called back at."""

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from auction.web.formats.parameters import CALL_LINK, KEY_LINK

_KEY_BYTES: Final = 18


@dataclass(frozen=True, slots=True)
class Links:
    """Where the call of one answer goes on. ``base`` is empty or as ``origin``: ``https://host``.

    ``asked_with``: parameters of the switch's own address that are kept on the way.
    """

    base: str
    origin: str
    form: str
    key: str
    asked_with: Mapping[str, str] = field(default_factory=dict)

    def next(self, call_id: str, attempt: int) -> str:
        """For when the attempt is over: how it ended is in the request."""
        return self.base + self._path("/v1/calls/next", call_id, attempt)

    def events(self, call_id: str, attempt: int) -> str:
        """For what happens meanwhile; always whole: Twilio takes no relative one (error 21609)."""
        return self.origin + self._path("/v1/calls/events", call_id, attempt)

    def answered(self, call_id: str, attempt: int) -> str:
        """Tells by itself that the attempt was answered; always whole, with its host."""
        return self.origin + self._path("/v1/calls/events", call_id, attempt, type="answered")

    def _path(self, path: str, call_id: str, attempt: int, **more: str) -> str:
        query = {
            "format": self.form,
            CALL_LINK: call_id,
            "attempt": attempt,
            KEY_LINK: self.key,
            **self.asked_with,
            **more,
        }
        return f"{path}?{urlencode(query)}"


def callback_key(call_id: str, keyed: Callable[[bytes], bytes]) -> str:
    """What lets whoever has it report on this call, and on no other."""
    digest = keyed(b"callback " + call_id.encode())
    return base64.urlsafe_b64encode(digest[:_KEY_BYTES]).decode()


def opens(key: str, call_id: str, keyed: Callable[[bytes], bytes]) -> bool:
    """Whether it is this call's key, compared in constant time."""
    return hmac.compare_digest(key.encode(), callback_key(call_id, keyed).encode())
