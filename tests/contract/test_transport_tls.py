"""TLS to buyers, whatever the transport: verified or not at all."""

from dataclasses import replace
from pathlib import Path

from buyers.transport import FaultKind, RawAnswer, Transport, TransportFault
from tests.contract.buying import OK, Open, a_request, answering, ask
from tests.contract.certificates import a_certificate
from tests.contract.raw_buyer import Connection, RawBuyer, raw_buyer


async def test_a_trusted_certificate_is_accepted(opening: Open, tmp_path: Path) -> None:
    server, client = a_certificate(tmp_path)
    async with raw_buyer(answering(OK), server) as buyer, opening(tls=client) as transport:
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 1


async def test_a_certificate_that_nobody_trusts_is_unreachable(
    transport: Transport, tmp_path: Path
) -> None:
    server, _ = a_certificate(tmp_path)
    async with raw_buyer(answering(OK), server) as buyer:
        answer = await ask(transport, a_request(buyer))

    assert answer == TransportFault(FaultKind.UNREACHABLE, "certificate not accepted")


async def test_a_certificate_for_another_name_is_unreachable(opening: Open, tmp_path: Path) -> None:
    server, client = a_certificate(tmp_path)
    async with raw_buyer(answering(OK), server) as buyer, opening(tls=client) as transport:
        origin = replace(buyer.origin, host="localhost")
        answer = await ask(transport, a_request(buyer)._replace(origin=origin))

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.UNREACHABLE


async def test_a_buyer_that_speaks_no_tls_is_unreachable(transport: Transport) -> None:
    async def greet(connection: Connection, _buyer: RawBuyer) -> None:
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_buyer(greet) as buyer:
        origin = replace(buyer.origin, scheme="https")
        answer = await ask(transport, a_request(buyer)._replace(origin=origin))

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.UNREACHABLE
    assert answer.never_sent
