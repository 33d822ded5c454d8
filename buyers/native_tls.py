"""TLS to buyers: verified, and taking up the session of the connection before."""

import ssl
from functools import cache


@cache
def verifying_context() -> ssl.SSLContext:
    """What trusts the system's authorities, for HTTP/1.1; loading them takes a while."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class ResumingContext(ssl.SSLContext):
    """TLS to one origin: ``shared`` does all, this adds the session that was remembered last.

    Event loops make the connection's TLS by ``wrap_bio`` and have no way to hand it a session.
    """

    def __new__(cls, _shared: ssl.SSLContext) -> "ResumingContext":
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, shared: ssl.SSLContext) -> None:
        self._shared = shared
        self._session: ssl.SSLSession | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature is the standard library's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See ``ssl.SSLContext``."""
        return self._shared.wrap_bio(
            incoming, outgoing, server_side, server_hostname, session or self._session
        )

    def remember(self, secured: ssl.SSLObject) -> None:
        """Offer this connection's session to the next."""
        session = secured.session
        if session is not None:
            self._session = session
