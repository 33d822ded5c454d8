"""Answers that come compressed although nobody asked: unpacked up to the limit and no further."""

import zlib

_ANY_ZLIB = zlib.MAX_WBITS | 32
_RAW_DEFLATE = -zlib.MAX_WBITS


class UnreadableEncodingError(ValueError):
    """The body's encoding is unknown or broken."""


class OversizeError(ValueError):
    """The body unpacks to more than the limit."""


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding (identity, gzip or deflate).

    Raises OversizeError past ``limit`` bytes, UnreadableEncodingError when it can't be unpacked.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    if name not in {"gzip", "x-gzip", "deflate"}:
        raise UnreadableEncodingError("unknown content encoding")
    try:
        return _inflated(body, _ANY_ZLIB, limit)
    except UnreadableEncodingError:
        if name == "deflate":
            return _inflated(body, _RAW_DEFLATE, limit)
        raise


def _inflated(body: bytes, window_bits: int, limit: int) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise UnreadableEncodingError("broken content encoding") from None
    if len(plain) > limit:
        raise OversizeError
    if not inflater.eof:
        raise UnreadableEncodingError("content encoding ends early")
    return plain
