"""One address of a buyer, compiled: from an occasion to a request that is ready to be sent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from buyers.authentication import Credentials, Headers, Resolve, Signer, compile_credentials
from buyers.rendering import Pieces
from buyers.templates import HeaderTemplate, compile_body, compile_header, compile_query
from buyers.tokens import CallerIdRule, Occasion
from buyers.transport import DEFAULT_PORTS, HeaderBlock, Origin, PreparedRequest, request_head
from config.endpoints import Endpoint

IDEMPOTENCY_HEADER = "Idempotency-Key"
USER_AGENT = "pingpost"

SHARED: Final = 4096
"""How many different origins and header blocks are kept, each for all offers that use it."""

RenderBody = Callable[[Occasion], bytes]

_CONTENT_TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "xml": "application/xml; charset=utf-8",
}
_ACCEPTED_TYPES = {"json": "application/json", "xml": "application/xml, text/xml"}


@dataclass(frozen=True, slots=True)
class CompiledEndpoint:
    """Prepares requests. ``target`` is complete when ``query`` is None, else ends before it.

    ``render_body`` None: sent without a body. ``head``: the bytes that every request begins with,
    None when they differ.
    """

    origin: Origin
    method: str
    target: str = field(repr=False)
    query: Pieces | None = field(repr=False)
    constant: HeaderBlock
    templates: tuple[HeaderTemplate, ...]
    render_body: RenderBody | None
    signer: Signer | None = field(default=None, repr=False)
    idempotency_header: bool = True
    head: bytes | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        same = self.query is None
        head = request_head(self.origin, self.method, self.target, self.constant) if same else None
        object.__setattr__(self, "head", head)

    def prepare(self, occasion: Occasion, unix_seconds: int) -> PreparedRequest:
        """The request of one ping or post, signed at ``unix_seconds`` where it is signed."""
        body = None if self.render_body is None else self.render_body(occasion)
        target = self.target
        if self.query is not None:
            target += self.query.render(occasion).decode()
        headers: Headers = ()
        if self.templates or self.signer or occasion.post_id is not None:
            headers = self._headers(occasion, body, unix_seconds)
        return PreparedRequest(
            self.origin,
            self.method,
            target,
            self.constant,
            headers,
            body,
            self.head,
            occasion.post_id is None,
            occasion.ping_id,
        )

    def _headers(self, occasion: Occasion, body: bytes | None, unix_seconds: int) -> Headers:
        rendered = ((header.name, header.render(occasion)) for header in self.templates)
        headers = tuple((name, value) for name, value in rendered if value)
        if self.signer is not None:
            headers += self.signer.headers(body, unix_seconds)
        if occasion.post_id is not None and self.idempotency_header:
            headers += ((IDEMPOTENCY_HEADER, occasion.post_id),)
        return headers


def compile_endpoint(
    endpoint: Endpoint,
    caller_id: CallerIdRule,
    plain_body: Callable[[Occasion, CallerIdRule], bytes],
    resolve: Resolve,
) -> CompiledEndpoint:
    """Compile a ping's or a post's address.

    ``plain_body`` renders where the endpoint has no body of its own. Raises SecretUnavailableError,
    TemplateFaultError.
    """
    credentials = compile_credentials(endpoint.auth, resolve)
    own = [
        compile_header(name, text, caller_id, resolve) for name, text in endpoint.headers.items()
    ]
    target, query = _target(endpoint, credentials, caller_id, resolve)
    return CompiledEndpoint(
        origin=_origin(endpoint.url),
        method=endpoint.method,
        target=target,
        query=query,
        constant=_constant_headers(endpoint, own, credentials),
        templates=tuple(header for header in own if not header.pieces.constant),
        render_body=_body(endpoint, caller_id, plain_body),
        signer=credentials.signer,
        idempotency_header=all(h.name.lower() != IDEMPOTENCY_HEADER.lower() for h in own),
    )


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return _shared_origin(parts.scheme, parts.hostname or "", port)


_shared_origin = lru_cache(maxsize=SHARED)(Origin)


@lru_cache(maxsize=SHARED)
def _header(name: str, value: str) -> tuple[str, str]:
    return (name, value)


_shared_block = lru_cache(maxsize=SHARED)(HeaderBlock)


def _target(
    endpoint: Endpoint, credentials: Credentials, caller_id: CallerIdRule, resolve: Resolve
) -> tuple[str, Pieces | None]:
    parts = urlsplit(endpoint.url)
    fixed = [text for text in (parts.query, credentials.query) if text]
    path = parts.path or "/"
    if not endpoint.query:
        return path + ("?" + "&".join(fixed) if fixed else ""), None
    return path + "?" + "".join(f"{text}&" for text in fixed), compile_query(
        endpoint.query, caller_id, resolve
    )


def _constant_headers(
    endpoint: Endpoint, own: list[HeaderTemplate], credentials: Credentials
) -> HeaderBlock:
    """Ours come first, but for those that the operator names."""
    constant = [
        (header.name, header.pieces.text.strip()) for header in own if header.pieces.constant
    ]
    named = {header.name.lower() for header in own}
    named.update(name.lower() for name, _ in credentials.headers)
    response = endpoint.response
    ours = [
        ("User-Agent", USER_AGENT),
        ("Accept", _ACCEPTED_TYPES.get(response.format if response else "json", "*/*")),
        ("Accept-Encoding", "identity"),
    ]
    if endpoint.method != "GET":
        sent = "json" if endpoint.body is None else endpoint.format
        ours.append(("Content-Type", _CONTENT_TYPES[sent]))
    kept = [pair for pair in ours if pair[0].lower() not in named]
    pairs = (*kept, *credentials.headers, *constant)
    return _shared_block(tuple(_header(*pair) for pair in pairs))


def _body(
    endpoint: Endpoint,
    caller_id: CallerIdRule,
    plain_body: Callable[[Occasion, CallerIdRule], bytes],
) -> RenderBody | None:
    if endpoint.method == "GET":
        return None
    if endpoint.body is None:
        return lambda occasion: plain_body(occasion, caller_id)
    return compile_body(endpoint.format, endpoint.body, caller_id).render
