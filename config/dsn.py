"""The database's URL, which may name several servers."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import ParseResult, parse_qsl, unquote, urlparse

SCHEMES: Final = ("postgresql", "postgres")
WRITABLE: Final = frozenset({"primary", "read-write"})
"""What a server may be asked to be, where the URL says: the service writes wherever it is."""

_HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class Server:
    """One of a URL's servers. ``host`` may be a directory of sockets, ``port`` None: the usual."""

    host: str
    port: int | None = None


def servers_of(dsn: str) -> tuple[Server, ...]:
    """The servers that a URL names, none when it leaves that to the environment.

    Raises ValueError, which quotes nothing of the URL, when it can't be read.
    """
    parts = _parsed(dsn)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    authority = parts.netloc.rpartition("@")[2]
    hosts = authority.split(",") if authority else options.get("host", "").split(",")
    ports = options.get("port", "").split(",")
    if len(ports) not in {1, len(hosts)}:
        message = f"must have one port, or one for each of its {len(hosts)} hosts"
        raise ValueError(message)
    if len(ports) < len(hosts):
        ports = ports * len(hosts)
    servers = [_server(*pair, coded=bool(authority)) for pair in zip(hosts, ports, strict=True)]
    if len(servers) > 1 and not all(server.host for server in servers):
        message = "must not have an empty place in its list of hosts"
        raise ValueError(message)
    return tuple(server for server in servers if server.host)


def fault_of_dsn(dsn: str) -> str | None:
    """What is wrong with a URL, in words that quote nothing of it; None when nothing is."""
    if not dsn.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        return "must start with postgresql://"
    try:
        servers_of(dsn)
    except ValueError as error:
        return str(error)
    wanted = dict(parse_qsl(_parsed(dsn).query)).get("target_session_attrs", "primary")
    if wanted not in WRITABLE:
        return "must have no target_session_attrs but read-write or primary: every call is written"
    return None


def redact_dsn(dsn: str) -> str:
    """A data source name without its password and parameters."""
    try:
        parts = _parsed(dsn)
        servers_of(dsn)
    except ValueError:
        return _HIDDEN
    credentials, _, hosts = parts.netloc.rpartition("@")
    user = f"{credentials.partition(':')[0]}:{_HIDDEN}@" if credentials else ""
    return f"{parts.scheme}://{user}{hosts}{parts.path}"


def _parsed(dsn: str) -> ParseResult:
    try:
        parts = urlparse(dsn)
    except ValueError:
        raise ValueError(_UNREADABLE) from None
    if "@" in parts.netloc.rpartition("@")[0]:
        raise ValueError(_UNREADABLE)
    return parts


def _server(text: str, port: str, *, coded: bool) -> Server:
    if text.startswith("/"):
        return Server(text, _port(port))
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(_UNREADABLE)
        own = rest[1:]
    else:
        host, _, own = text.partition(":")
    host = unquote(host) if coded else host
    return Server(host, _port(port or (unquote(own) if coded else own)))


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        message = "must have ports from 1 to 65535"
        raise ValueError(message)
    return int(text)


_UNREADABLE: Final = "can't be read as a URL: code odd characters of a password with %"
