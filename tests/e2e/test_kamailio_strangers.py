"""Requests that claim to belong to a call, from somebody who has none."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.kamailio_switch import KamailioSwitch, a_kamailio
from tests.e2e.report import Report
from tests.e2e.sipp import HOST

WITHIN_S = 5.0
FORGED = (
    "{method} sip:+19005550100@{gateway} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP {own};branch=z9hG4bK-{method}\r\n"
    "Route: <sip:{switch};lr=on{mark}>\r\n"
    "From: <sip:thief@{own}>;tag=1\r\nTo: <sip:+19005550100@{gateway}>;tag=2\r\n"
    "Call-ID: forged-{method}\r\nCSeq: 1 {method}\r\nContact: <sip:thief@{own}>\r\n"
    "Max-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
)


@contextmanager
def a_socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((HOST, 0))
        made.settimeout(WITHIN_S)
        yield made


def at(sock: socket.socket) -> str:
    return f"{HOST}:{sock.getsockname()[1]}"


def first_line(sock: socket.socket) -> str:
    return sock.recv(4096).decode().splitlines()[0]


@pytest.mark.parametrize("method", ["INVITE", "BYE", "REFER"])
@pytest.mark.parametrize("mark", ["", ";pp=1.1", ";pp=1.1." + "0" * 32])
async def test_a_tag_that_is_made_up_opens_no_way_to_the_gateway(
    tmp_path: Path, report: Report, method: str, mark: str
) -> None:
    with a_socket() as gateway, a_socket() as thief:
        async with a_kamailio(tmp_path, SWITCH_GATEWAY=at(gateway)) as switch:
            said = _forge(switch, thief, gateway, method, mark)
            gateway.setblocking(False)
            with pytest.raises(BlockingIOError):
                gateway.recv(4096)
    report.equal(f"a forged {method}", "SIP/2.0 481 Call Does Not Exist", said)


def _forge(
    switch: KamailioSwitch, thief: socket.socket, gateway: socket.socket, method: str, mark: str
) -> str:
    to = f"{HOST}:{switch.port}"
    text = FORGED.format(method=method, gateway=at(gateway), own=at(thief), switch=to, mark=mark)
    thief.sendto(text.encode(), (HOST, switch.port))
    return first_line(thief)
