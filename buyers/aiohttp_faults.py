"""What an exception of aiohttp's client means, in the words that both transports share."""

import logging
import socket

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError

from buyers.compression import OversizeError, UnreadableEncodingError
from buyers.faults import (
    BROKEN,
    NO_HANDSHAKE,
    NO_SUCH_HOST,
    NOT_CERTIFIED,
    NOT_DECODED,
    NOT_HTTP,
    TOO_LARGE,
    Told,
    socket_trouble,
)
from buyers.outbound import ForbiddenAddressError
from buyers.proxying import ProxyTroubleError
from buyers.transport import FaultKind, TransportFault

_log = logging.getLogger(__name__)


class DroppedError(Exception):
    """The connection broke after the request may have left."""


def fault_of(error: Exception, status: int | None = None) -> TransportFault:
    kind, detail = error.told if isinstance(error, ProxyTroubleError) else _told(error)
    if kind is FaultKind.CRASHED:
        _log.error("request crashed", extra={"error": type(error).__name__})
    return TransportFault(kind, detail, status)


def _told(error: Exception) -> Told:
    if isinstance(error, aiohttp.ClientPayloadError):
        return NOT_HTTP if _is_nonsense(error.__cause__) else BROKEN
    for known, told in _WORDS:
        if isinstance(error, known):
            return told
    if isinstance(error, aiohttp.ClientConnectorError):
        return socket_trouble(error.os_error)
    if isinstance(error, ForbiddenAddressError):
        return FaultKind.FORBIDDEN, str(error)
    if isinstance(error, aiohttp.ClientError | ConnectionError):
        return BROKEN
    return FaultKind.CRASHED, type(error).__name__


def _is_nonsense(cause: BaseException | None) -> bool:
    """Whether a body's framing is wrong; one that merely ends too soon is not."""
    return isinstance(cause, HttpProcessingError) and not isinstance(cause, PayloadEncodingError)


_WORDS: tuple[tuple[type[Exception], Told], ...] = (
    (aiohttp.ClientConnectorCertificateError, NOT_CERTIFIED),
    (aiohttp.ClientConnectorSSLError, NO_HANDSHAKE),
    (aiohttp.ClientConnectorDNSError, NO_SUCH_HOST),
    (aiohttp.InvalidURL, NO_SUCH_HOST),
    (socket.gaierror, NO_SUCH_HOST),
    (UnicodeError, NO_SUCH_HOST),
    (OversizeError, TOO_LARGE),
    (UnreadableEncodingError, NOT_DECODED),
    (aiohttp.ClientResponseError, NOT_HTTP),
    (DroppedError, BROKEN),
)
