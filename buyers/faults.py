"""Why no answer came, in words of our own, and whose fault it was."""

import errno
import logging
import os
import socket
import ssl

from buyers.outbound import ForbiddenAddressError
from buyers.transport import MAXIMUM_ANSWER, FaultKind, TransportFault

_log = logging.getLogger(__name__)

Told = tuple[FaultKind, str]

NOT_HTTP: Told = (FaultKind.MALFORMED, "answer is not HTTP")
BROKEN: Told = (FaultKind.BROKEN, "connection broke before the whole answer came")
TOO_LARGE: Told = (FaultKind.OVERSIZE, f"answer over {MAXIMUM_ANSWER} bytes")
NOT_DECODED: Told = (FaultKind.MALFORMED, "content encoding can't be read")
NO_SUCH_HOST: Told = (FaultKind.UNREACHABLE, "host name does not resolve")
NOT_CERTIFIED: Told = (FaultKind.UNREACHABLE, "certificate not accepted")
NO_HANDSHAKE: Told = (FaultKind.UNREACHABLE, "TLS handshake failed")

_OUR_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL})
_WORDS: tuple[tuple[type[Exception], Told], ...] = (
    (ssl.SSLCertVerificationError, NOT_CERTIFIED),
    (ssl.SSLError, NO_HANDSHAKE),
    (socket.gaierror, NO_SUCH_HOST),
    (UnicodeError, NO_SUCH_HOST),
)


def connect_fault(error: Exception) -> TransportFault:
    """The fault that an error while connecting is."""
    for known, told in _WORDS:
        if isinstance(error, known):
            return TransportFault(*told)
    if isinstance(error, OSError):
        return TransportFault(*socket_trouble(error))
    _log.error("connecting crashed", extra={"error": type(error).__name__})
    return TransportFault(FaultKind.CRASHED, type(error).__name__)


def socket_trouble(error: OSError) -> Told:
    """What an error of a socket that was to be connected means."""
    if isinstance(error, ForbiddenAddressError):
        return FaultKind.FORBIDDEN, str(error)
    number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
    kind = FaultKind.OWN_LIMIT if number in _OUR_TROUBLE else FaultKind.UNREACHABLE
    return kind, os.strerror(number).lower() if number else "connection failed"
