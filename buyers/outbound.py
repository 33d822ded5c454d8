"""Which addresses buyers' URLs may reach: public ones, and networks that are allowed."""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_DOCUMENTATION = IPv6Network("3fff::/20")
_NAT64 = IPv6Network("64:ff9b::/96")
_RELAY_ANYCAST = IPv4Network("192.88.99.0/24")


class ForbiddenAddressError(OSError):
    """The address is neither public nor in OUTBOUND_ALLOW."""

    def __init__(self) -> None:
        super().__init__("address is not public and not in OUTBOUND_ALLOW")


class OutboundRule:
    """Decides on numeric addresses, never on names: what is checked is what is connected to."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def permits(self, address: str) -> bool:
        """Whether this numeric address may be connected to; False for what is no address."""
        try:
            found = _embedded(ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        return _is_public(found) or any(found in network for network in self._allowed)

    def open_socket(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """A socket for one entry of ``getaddrinfo``. Raises ForbiddenAddressError."""
        family, kind, protocol, _, address = info
        if not self.permits(str(address[0])):
            raise ForbiddenAddressError
        return socket.socket(family, kind, protocol)


def _embedded(address: Address) -> Address:
    """The IPv4 address that packets really go to, where an IPv6 address only wraps one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv4Address):
        return address not in _RELAY_ANYCAST
    return address in _GLOBAL_UNICAST and address not in _DOCUMENTATION
