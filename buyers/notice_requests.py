"""The requests by which bidders hear that they won or lost, compiled from their URLs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from auction.domain.money import render
from auction.domain.notices import Notice
from buyers.endpoint import USER_AGENT
from buyers.rendering import query_text
from buyers.transport import DEFAULT_PORTS, HeaderBlock, Origin, PreparedRequest
from config.endpoints import Notices
from config.template_syntax import Literal, Template, Token, parse_template

Getter = Callable[[Notice], str | None]
Part = str | Callable[[Notice], str]

_HEADERS = HeaderBlock(
    (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
)


@dataclass(frozen=True, slots=True)
class NoticeRequest:
    """One address; ``target`` is path and query with gaps."""

    origin: Origin
    target: tuple[Part, ...] = field(repr=False)

    def prepare(self, notice: Notice) -> PreparedRequest:
        """The GET that tells it."""
        target = "".join(part if isinstance(part, str) else part(notice) for part in self.target)
        return PreparedRequest(self.origin, "GET", target, _HEADERS)


@dataclass(frozen=True, slots=True)
class NoticeRequests:
    """What one offer is told by; None: it does not ask."""

    won: NoticeRequest | None
    lost: NoticeRequest | None

    def prepare(self, notice: Notice) -> PreparedRequest | None:
        """The request for this news, None where the offer does not ask for it."""
        request = self.won if notice.won else self.lost
        return None if request is None else request.prepare(notice)


def compile_requests(notices: Notices) -> NoticeRequests:
    """The requests of an offer's URLs."""
    return NoticeRequests(_compile(notices.won_url), _compile(notices.lost_url))


def _compile(url: str | None) -> NoticeRequest | None:
    if url is None:
        return None
    first, *rest = parse_template(url, any_token=True).parts
    assert isinstance(first, Literal), "a notice's URL begins with its host"
    parts = urlsplit(first.text)
    origin = Origin(parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme])
    path = first.text[len(f"{parts.scheme}://{parts.netloc}") :]
    beginning = path if path.startswith("/") else f"/{path}"
    return NoticeRequest(origin, (beginning, *_parts(Template(tuple(rest)))))


def _parts(template: Template) -> tuple[Part, ...]:
    return tuple(
        part.text if isinstance(part, Literal) else partial(_fill, part) for part in template.parts
    )


def _fill(token: Token, notice: Notice) -> str:
    return query_text(token.apply(_GETTERS[token.name](notice))).decode()


def _amount(notice: Notice) -> str | None:
    return None if notice.bid is None else render(notice.bid)


def _price(notice: Notice) -> str | None:
    return None if notice.price is None else render(notice.price)


def _reason(notice: Notice) -> str | None:
    return None if notice.reason is None else notice.reason.outcome


def _code(notice: Notice) -> str | None:
    return None if notice.reason is None else str(int(notice.reason))


_GETTERS: Mapping[str, Getter] = {
    "ping_id": lambda notice: notice.ping_id,
    "bid_id": lambda notice: notice.bid_id,
    "bid": _amount,
    "offer": lambda notice: notice.offer,
    "campaign": lambda notice: notice.campaign,
    "price": _price,
    "reason": _reason,
    "code": _code,
}
