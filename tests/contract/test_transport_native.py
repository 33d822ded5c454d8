"""What the native transport does and the other doesn't."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from buyers.transport import RawAnswer, Transport
from tests.contract.buying import OK, a_request, answering, ask, hang, open_native, sending
from tests.contract.raw_buyer import Connection, RawBuyer, raw_buyer
from tests.eventually import eventually


@pytest.fixture
async def native() -> AsyncIterator[Transport]:
    async with open_native() as opened:
        yield opened


async def test_a_buyer_that_reads_slowly_gets_the_whole_request(native: Transport) -> None:
    body = bytes(range(256)) * 20_000

    async def slow(connection: Connection, buyer: RawBuyer) -> None:
        await asyncio.sleep(0.02)
        buyer.requests.append(await connection.request())
        await connection.answer()
        await hang(connection)

    async with raw_buyer(slow) as buyer:
        assert await ask(native, a_request(buyer, body=body)) == RawAnswer(200, b"{}")

    assert buyer.requests[0].body == body


async def test_an_answer_before_the_whole_request_was_read_is_the_last_on_its_connection(
    native: Transport,
) -> None:
    async def hasty(connection: Connection, buyer: RawBuyer) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.answer(status="413 Too Large")
        await asyncio.sleep(0.02)
        await connection.until_closed()

    async with raw_buyer(hasty) as buyer:
        huge = a_request(buyer, body=b"0" * 30_000_000)
        answer = await ask(native, huge)
        await eventually(lambda: buyer.gone == 1)

    assert answer == RawAnswer(413, b"{}")


async def test_an_answer_followed_by_a_begun_one_is_the_last_on_its_connection(
    native: Transport,
) -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200"
    async with raw_buyer(answering(sending(data), OK)) as buyer:
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"one")
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 2


async def test_no_content_is_no_content_even_with_a_body(native: Transport) -> None:
    data = b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n!"
    async with raw_buyer(answering(sending(data), OK)) as buyer:
        assert await ask(native, a_request(buyer)) == RawAnswer(204, b"")
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 2
