"""Requests that a switch has signed: Twilio's and jambonz's ways. Compared in constant time."""

import base64
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

TWILIO_HEADER: Final = "X-Twilio-Signature"
JAMBONZ_HEADER: Final = "Jambonz-Signature"
TOLERANCE_S: Final = 300
"""How old a signature of jambonz may be, and how far ahead its clock."""

_USUAL_PORT: Final = {"http": ":80", "https": ":443"}
_PORT: Final = re.compile(r":\d{1,5}$", re.ASCII)
_MOST_SIGNATURES: Final = 8
_TIME: Final = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it came. ``url`` is the one that the switch was told, with its query."""

    url: str
    form: str
    user: str | None = None


def twilio_signed(request: Signed, signature: str, tokens: Iterable[str]) -> bool:
    """Whether an account with one of these auth tokens has signed a request.

    HMAC-SHA-1 of the address and, sorted by name, each name and value of the form. Twilio's own
    libraries try the address with and without its port, since either is signed.
    """
    fields = _sorted_fields(request.form)
    good = [
        hmac.compare_digest(_twilio_digest(token, url + fields), _as_sent(signature))
        for token in tokens
        for url in _ways_to_write(request)
    ]
    return any(good)


def jambonz_signed(body: bytes, header: str, secrets: Sequence[str], now_s: float) -> bool:
    """Whether ``t=<Unix seconds>,v1=<hex>`` signs this body, and not long ago.

    HMAC-SHA-256 of time, full stop and body; several ``v1`` while the secret changes.
    """
    parts = [each.partition("=") for each in header.split(",")[: _MOST_SIGNATURES + 1]]
    times = [value.strip() for name, _, value in parts if name.strip() == "t"]
    given = [value.strip() for name, _, value in parts if name.strip() == "v1"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        return False
    if abs(now_s - int(times[0])) > TOLERANCE_S:
        return False
    signed = times[0].encode() + b"." + body
    digests = [hmac.new(secret.encode(), signed, "sha256").hexdigest() for secret in secrets]
    good = [
        hmac.compare_digest(digest.encode(), _as_sent(each)) for digest in digests for each in given
    ]
    return any(good)


def _twilio_digest(token: str, text: str) -> bytes:
    return base64.b64encode(hmac.digest(token.encode(), _as_sent(text), "sha1"))


def _as_sent(text: str) -> bytes:
    """The bytes of what came in a request's head, which need not be UTF-8."""
    return text.encode(errors="surrogateescape")


def _sorted_fields(form: str) -> str:
    fields = set(parse_qsl(form, keep_blank_values=True))
    return "".join(name + value for name, value in sorted(fields))


def _ways_to_write(request: Signed) -> Iterator[str]:
    """The address with and without port, with and without the user that it may name."""
    parts = urlsplit(request.url)
    for host in {parts.netloc, *_hosts(parts)}:
        for user in {"", f"{request.user}@" if request.user else ""}:
            start = f"{parts.scheme}://"
            yield start + user + host + request.url[len(start) + len(parts.netloc) :]


def _hosts(parts: SplitResult) -> Iterator[str]:
    match = _PORT.search(parts.netloc)
    host = parts.netloc[: match.start()] if match else parts.netloc
    yield host
    yield host + (match[0] if match else _USUAL_PORT.get(parts.scheme, ""))
