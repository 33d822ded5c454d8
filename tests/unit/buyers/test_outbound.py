import socket
from ipaddress import ip_network

import pytest

from buyers.outbound import ForbiddenAddressError, OutboundRule


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "::ffff:8.8.8.8",
    ],
)
def test_public_addresses_are_permitted(address: str) -> None:
    assert OutboundRule().permits(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2001:db8::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "3fff::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "4000::1",
        "localhost",
        "",
    ],
)
def test_all_other_addresses_are_refused(address: str) -> None:
    assert not OutboundRule().permits(address)


def test_an_allowed_network_is_permitted_in_every_spelling() -> None:
    rule = OutboundRule([ip_network("127.0.0.0/8"), ip_network("fd00::/8")])

    assert rule.permits("127.0.0.1")
    assert rule.permits("::ffff:127.0.0.1")
    assert rule.permits("fd12::1")
    assert not rule.permits("10.0.0.1")
    assert not rule.permits("::1")


def test_a_socket_is_opened_for_a_permitted_address_only() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 80))

    with pytest.raises(ForbiddenAddressError):
        OutboundRule().open_socket(info)
    OutboundRule([ip_network("127.0.0.0/8")]).open_socket(info).close()
