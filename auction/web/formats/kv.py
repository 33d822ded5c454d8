"""``kv``: ``k=v&k=v``, for Asterisk's ``CURL`` with ``CURLOPT(hashcompat)=yes``."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from auction.web.formats.decision import Decision, Scalar
from auction.web.formats.dial_strings import in_dial_string


def render(decision: Decision) -> bytes:
    """Every key, always: what is not there is empty, so that no earlier value stays in a HASH.

    ``destination`` can stand in a ``Dial`` as it is.
    """
    values, dial = decision.values, decision.dial
    where: tuple[tuple[str, Scalar], ...] = (
        ("destination", None if dial is None else in_dial_string(dial.uri)),
        ("dial_timeout_s", None if dial is None else dial.timeout_s),
        ("send_digits", None if dial is None else dial.send_digits),
        ("whisper", None if dial is None else dial.whisper),
    )
    return pairs((*values.items(), *where))


def pairs(items: Iterable[tuple[str, Scalar]]) -> bytes:
    """Names and values, each percent-encoded; a space as ``%20``: hashcompat leaves ``+`` alone."""
    return "&".join(f"{quote(name, safe='')}={_text(value)}" for name, value in items).encode()


def _text(value: Scalar) -> str:
    return "" if value is None else quote(str(value), safe="")


def ended(call_id: str) -> bytes:
    """The call is over: there is nothing to dial."""
    return pairs((("call_id", call_id), ("action", "ended")))


def problem(document: Mapping[str, Scalar]) -> bytes:
    """An error: ``action=error`` with its status and what is wrong."""
    return pairs(
        (
            ("action", "error"),
            ("status", document.get("status")),
            ("reason", str(document.get("type")).rpartition(":")[2]),
            ("detail", document.get("detail")),
        )
    )
