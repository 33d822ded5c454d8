import gzip
import tracemalloc
import zlib

import pytest

from buyers.compression import OversizeError, UnreadableEncodingError, unpacked

PLAIN = b'{"accepted": true}'


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (PLAIN, "identity"),
        (PLAIN, ""),
        (gzip.compress(PLAIN, mtime=0), "gzip"),
        (gzip.compress(PLAIN, mtime=0), " X-GZip "),
        (zlib.compress(PLAIN), "deflate"),
        (raw_deflate(PLAIN), "deflate"),
    ],
)
def test_a_body_is_unpacked_by_its_encoding(body: bytes, encoding: str) -> None:
    assert unpacked(body, encoding, 100) == PLAIN


def test_a_bomb_is_unpacked_no_further_than_the_limit() -> None:
    bomb = gzip.compress(b"0" * 50_000_000, mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(OversizeError):
            unpacked(bomb, "gzip", 65_536)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (PLAIN, "gzip"),
        (gzip.compress(PLAIN, mtime=0)[:-4], "gzip"),
        (b"", "gzip"),
        (PLAIN, "br"),
        (PLAIN, "gzip, gzip"),
    ],
)
def test_what_can_not_be_unpacked_is_unreadable(body: bytes, encoding: str) -> None:
    with pytest.raises(UnreadableEncodingError):
        unpacked(body, encoding, 100)
