"""A client that sees every byte, for answers that no HTTP library would let through."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

PING = {
    "ping_id": "0f8fad5bd9cb469fa165708677289501",
    "campaign": "auto-insurance",
    "offer": "acme-auto",
    "caller": {"area_code": "310", "state": "CA", "country": "US"},
    "fields": {"vertical": "auto_insurance", "zip_code": "90210"},
    "minimum_bid": "35.00",
    "timeout_ms": 500,
}


@dataclass
class Received:
    """What came back, and how it ended: ``closed``, ``reset`` or ``open``."""

    data: bytes = b""
    end: str = "open"
    arrivals: list[float] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> object:
        return orjson.loads(self.body)


def request_bytes(
    url: str, body: bytes = b"", headers: dict[str, str] | None = None, method: str = "POST"
) -> bytes:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = {"Host": parts.netloc, "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


async def exchange(
    url: str, request: bytes, *, wait_s: float = 5.0, until_closed: bool = False
) -> Received:
    """Send ``request`` as it is; read one whole answer, or to the end, ``wait_s`` at most."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    received = Received()
    try:
        writer.write(request)
        async with asyncio.timeout(wait_s):
            await _read(reader, received, until_closed=until_closed)
    except TimeoutError:
        pass
    finally:
        writer.close()
    return received


async def _read(reader: asyncio.StreamReader, received: Received, *, until_closed: bool) -> None:
    clock = asyncio.get_running_loop()
    try:
        while chunk := await reader.read(65_536):
            received.data += chunk
            received.arrivals.append(clock.time())
            if not until_closed and _complete(received):
                return
        received.end = "closed"
    except ConnectionResetError:
        received.end = "reset"


def _complete(received: Received) -> bool:
    """Whether a whole response is there, so that nobody waits for a kept connection."""
    for line in received.head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(received.body) >= int(line.split(b":")[1])
        if line.startswith(b"transfer-encoding: chunked"):
            return received.data.endswith(b"0\r\n\r\n")
    return received.data.startswith(b"HTTP/1.1 204") and received.data.endswith(b"\r\n\r\n")


async def send(
    url: str,
    content: object = None,
    headers: dict[str, str] | None = None,
    *,
    wait_s: float = 5.0,
    method: str = "POST",
) -> Received:
    """One request with a JSON body (bytes go as they are)."""
    body = content if isinstance(content, bytes) else orjson.dumps(content or PING)
    return await exchange(url, request_bytes(url, body, headers, method), wait_s=wait_s)
