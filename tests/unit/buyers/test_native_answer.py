"""Answers put together from bytes: how much of them is taken, and what is left in the end."""

import pytest

from buyers.native_answer import (
    KNOWN_HEADS,
    LONGEST_KNOWN_HEAD,
    MAXIMUM_HEAD,
    MAXIMUM_WIRE,
    AnswerReader,
    Heads,
)
from buyers.transport import MAXIMUM_ANSWER, FaultKind, RawAnswer, TransportFault

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_HTTP = TransportFault(FaultKind.MALFORMED, "answer is not HTTP")
TOO_LARGE = TransportFault(FaultKind.OVERSIZE, "answer over 65536 bytes", 200)


def taken(start: bytes, more: bytes, *, at_most: int) -> object:
    """What a buyer gets told that goes on for ever; it must be told before ``at_most`` bytes."""
    reader = AnswerReader()
    answer = reader.feed(start)
    fed = len(start)
    while answer is None:
        answer = reader.feed(more)
        fed += len(more)
        assert fed <= at_most + len(more)
    assert not reader.reusable
    return answer


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 ", b"O" * 100),
        (b"HTTP/1.1 200 OK\r\n", b"X: a\r\n"),
        (b"HTTP/1.1 200 OK\r\nX", b"x" * 100),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (b"", b"\r\n"),
    ],
    ids=["reason", "headers", "name", "value", "continue", "hints", "blank"],
)
def test_a_head_that_never_ends_is_malformed(start: bytes, more: bytes) -> None:
    assert taken(start, more, at_most=MAXIMUM_HEAD) == NOT_HTTP


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (CHUNKED, b"1;" + b"x" * 100 + b"\r\n!\r\n"),
        (CHUNKED + b"1;", b"x" * 100),
        (CHUNKED + b"0\r\n", b"X: a\r\n"),
        (CHUNKED + b"0\r\nX: ", b"x" * 100),
    ],
    ids=["extensions", "an extension", "trailers", "a trailer"],
)
def test_what_comes_beside_a_body_is_bounded(start: bytes, more: bytes) -> None:
    assert taken(start, more, at_most=MAXIMUM_WIRE) == TOO_LARGE


def test_a_body_is_not_kept_beyond_the_limit() -> None:
    answer = taken(CHUNKED, b"1000\r\n" + b"0" * 4096 + b"\r\n", at_most=MAXIMUM_ANSWER + 5000)
    assert answer == TOO_LARGE


def test_one_piece_may_hold_more_than_the_limit() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\n" + b"0" * (MAXIMUM_ANSWER + 1)) == TOO_LARGE


@pytest.mark.parametrize(
    "line", [b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity"]
)
def test_a_coding_other_than_chunked_is_malformed(line: bytes) -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n") == NOT_HTTP


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\n!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\n\r\n!",
        CHUNKED.replace(b"\r\n\r\n", b"\r\n\n") + b"1\r\n!\r\n0\r\n\r\n",
    ],
)
def test_line_feeds_alone_are_malformed(data: bytes) -> None:
    assert AnswerReader().feed(data) == NOT_HTTP


def test_chunked_given_twice_is_malformed() -> None:
    line = b"Transfer-Encoding: chunked\r\n"
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n" + line * 2 + b"\r\n0\r\n\r\n") == NOT_HTTP


def test_an_interim_answer_with_a_body_is_malformed() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n!") == NOT_HTTP


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", TransportFault(FaultKind.BROKEN, "connection broke before the whole answer came")),
        (b"HTTP/1.1 200 OK\r\n\r\nab", RawAnswer(200, b"ab")),
        (b"HTTP/1.1 200 OK\r\nRetry-After: 1\r\n\r\n", RawAnswer(200, b"", "1")),
    ],
)
def test_the_end_finishes_only_what_nothing_else_ends(data: bytes, answer: object) -> None:
    reader = AnswerReader()
    reader.feed(data)
    assert reader.finish() == answer


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        CHUNKED + b"2\r\nab\r\n",
        CHUNKED + b"0\r\nX: a\r\n",
    ],
)
def test_an_answer_that_ends_too_soon_is_broken(data: bytes) -> None:
    reader = AnswerReader()
    assert reader.feed(data) is None
    end = reader.finish()
    assert isinstance(end, TransportFault)
    assert (end.kind, end.status) == (FaultKind.BROKEN, 200)


def test_nothing_of_one_answer_is_left_for_the_next() -> None:
    reader = AnswerReader()
    first = (
        b"HTTP/1.1 503 No\r\nRetry-After: 9\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"
    )
    reader.feed(first)
    reader.begin()
    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!") == RawAnswer(200, b"!")
    assert reader.reusable


@pytest.mark.parametrize(
    "surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"H", b"junk", b"\x00"]
)
def test_a_surplus_leaves_the_answer_as_it_is_and_ends_the_connection(surplus: bytes) -> None:
    reader = AnswerReader()
    answer = reader.feed(b"HTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\n!" + surplus)
    assert answer == RawAnswer(201, b"!")
    assert not reader.reusable


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
NAMED = PLAIN.replace(b"Content-Type: application/json", b"Retry-After: 5")
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ODD = {
    "whole": [PLAIN],
    "in two pieces": [PLAIN[:-1], PLAIN[-1:]],
    "no end of head": [EMPTY[:-4], b"\r\n\r\n"],
    "surplus": [PLAIN + b"x"],
    "surplus later": [PLAIN, b"x"],
    "two at once": [PLAIN + PLAIN],
    "one after the other": [PLAIN, PLAIN],
    "short": [PLAIN[:-1]],
    "end of lines before": [b"\r\n" + PLAIN],
    "hints before": [b"HTTP/1.1 103 Early Hints\r\n\r\n" + PLAIN],
    "hints alone": [b"HTTP/1.1 103 Early Hints\r\n\r\n"],
    "closing": [PLAIN.replace(b"Content-Type: application/json", b"Connection: close")],
    "old": [PLAIN.replace(b"/1.1", b"/1.0")],
    "refused": [PLAIN.replace(b"200 OK", b"429 Slow")],
    "no content": [PLAIN.replace(b"200 OK", b"204 None")],
    "named": [NAMED],
    "two lengths": [PLAIN.replace(b"Content-Type: application/json", b"Content-Length: 2")],
    "bare line feeds": [PLAIN.replace(b"\r\n", b"\n")],
    "chunks": [CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"],
    "zipped": [PLAIN.replace(b"Content-Type: application/json", b"Content-Encoding: gzip")],
    "long head": [PLAIN.replace(b"application/json", b"x" * LONGEST_KNOWN_HEAD)],
}


def told(reader: AnswerReader, pieces: list[bytes]) -> tuple[object, bool]:
    """The first answer, and whether the connection goes on."""
    answers = [reader.feed(piece) for piece in pieces]
    return next(filter(None, answers), None) or reader.finish(), reader.reusable


@pytest.mark.parametrize("pieces", ODD.values(), ids=ODD)
def test_an_answer_means_the_same_whatever_was_read_before(pieces: list[bytes]) -> None:
    heads: Heads = {}
    for start in (PLAIN, EMPTY, *map(b"".join, ODD.values())):
        AnswerReader(heads).feed(start)
    assert heads
    for bodiless in (False, True):
        expected, first, again = AnswerReader(), AnswerReader(heads), AnswerReader(heads)
        assert first.feed(PLAIN) == RawAnswer(200, b"{}")
        for reader in (expected, first, again):
            reader.begin(bodiless=bodiless)
        assert told(first, pieces) == told(expected, pieces) == told(again, pieces)


def test_known_heads_are_few_and_short() -> None:
    heads: Heads = {}
    reader = AnswerReader(heads)
    for number in range(2 * KNOWN_HEADS):
        reader.begin()
        reader.feed(PLAIN.replace(b"json", b"%d" % number))
    assert len(heads) == KNOWN_HEADS
    heads.clear()
    reader.begin()
    reader.feed(PLAIN.replace(b"json", b"x" * LONGEST_KNOWN_HEAD))
    assert not heads


def test_a_known_head_is_not_parsed_again() -> None:
    reader = AnswerReader({PLAIN.partition(b"\r\n\r\n")[0]: (299, 2)})
    assert reader.feed(PLAIN) == RawAnswer(299, b"{}")
    assert reader.reusable
