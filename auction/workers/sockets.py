"""Sockets that are bound once and listened on by several processes."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def bound(host: str, port: int) -> Iterator[list[socket.socket]]:
    """A socket on each address of ``host``, closed at the end. Raises OSError with the address.

    The first process that listens on one opens it to callers. Those that wait to be taken are in
    its one queue: none is lost when a process goes, as it would be from a queue of its own.
    """
    with ExitStack() as stack:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = dict.fromkeys((family, address) for family, _, _, _, address in found)
        yield [stack.enter_context(_bind(family, address)) for family, address in addresses]


def url_of(listener: socket.socket) -> str:
    """The base URL, as the address is written in one."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(family: int, address: tuple[str | int | bytes, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.settimeout(0)
        listener.bind(address)
    except OSError as error:
        listener.close()
        why = os.strerror(error.errno or 0)
        message = f"can't listen on {address[:2]!r}: {why}"
        raise OSError(error.errno, message) from error
    return listener
