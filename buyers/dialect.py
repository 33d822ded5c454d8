"""What an HTTP exchange with a buyer means: status, body or failure become a reply."""

from collections.abc import Callable
from dataclasses import dataclass

from auction.domain.bidding import (
    NoBid,
    PingFault,
    PingReply,
    PostNotSent,
    PostRejected,
    PostReply,
    PostUnknown,
    Quote,
)
from auction.domain.reasons import Reason
from auction.domain.value import value
from buyers.exact_json import MalformedAnswerError
from buyers.transport import Answer, FaultKind, RawAnswer, TransportFault

_REASONS = {
    FaultKind.FORBIDDEN: Reason.UNREACHABLE,
    FaultKind.UNREACHABLE: Reason.UNREACHABLE,
    FaultKind.OWN_LIMIT: Reason.OUTBOUND_LIMIT,
    FaultKind.PROXY: Reason.UNREACHABLE,
    FaultKind.BROKEN: Reason.ERROR,
    FaultKind.MALFORMED: Reason.MALFORMED_REPLY,
    FaultKind.OVERSIZE: Reason.OVERSIZE_REPLY,
    FaultKind.CRASHED: Reason.ERROR,
}
_OURS = frozenset({FaultKind.FORBIDDEN, FaultKind.OWN_LIMIT, FaultKind.PROXY, FaultKind.CRASHED})
_TRY_AGAIN = frozenset({429, 503})
_TIMED_OUT = 408
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class PingDialect:
    """Reads a ping's answers. ``read_body`` may raise MalformedAnswerError."""

    read_body: Callable[[bytes], Quote | NoBid]
    no_bid_statuses: frozenset[int] = frozenset({204})

    def read(self, answer: Answer) -> PingReply:
        """The reply that an answer is."""
        status = answer.status
        if status in self.no_bid_statuses:
            return NoBid(f"HTTP {status}")
        if status is not None and not 200 <= status < 300:
            return PingFault(Reason.BAD_STATUS, f"HTTP {status}")
        if isinstance(answer, TransportFault):
            ours = answer.kind in _OURS
            return PingFault(_REASONS[answer.kind], answer.detail, blames_buyer=not ours)
        try:
            return self.read_body(answer.body)
        except MalformedAnswerError as error:
            return PingFault(Reason.MALFORMED_REPLY, str(error))


@value(frozen=True, slots=True)
class PostTry:
    """One try of a post: what it says, whether another may follow, and when at the earliest."""

    reply: PostReply
    again: bool = False
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class PostDialect:
    """Reads a post's answers. ``idempotent``: the buyer takes a repeated post for the same one."""

    read_body: Callable[[bytes], PostReply]
    idempotent: bool = False

    def read(self, answer: Answer) -> PostTry:
        """The try that an answer ends."""
        status = answer.status
        if isinstance(answer, TransportFault) and answer.never_sent:
            unsent = PostNotSent(answer.detail, blames_buyer=answer.kind not in _OURS)
            return PostTry(unsent, again=answer.kind is not FaultKind.FORBIDDEN)
        if status is not None and not 200 <= status < 300:
            return self._refused(status, answer)
        if isinstance(answer, TransportFault):
            unknown = PostUnknown(answer.detail, blames_buyer=answer.kind not in _OURS)
            return PostTry(unknown, again=self.idempotent)
        reply = self.read_body(answer.body)
        return PostTry(reply, again=self.idempotent and isinstance(reply, PostUnknown))

    def _refused(self, status: int, answer: Answer) -> PostTry:
        detail = f"HTTP {status}"
        retry_after = answer.retry_after if isinstance(answer, RawAnswer) else None
        if status in _TRY_AGAIN:
            # A buyer that limits our rate has not looked at the call; one that is down may have.
            limited = status == _TOO_MANY
            reply = PostNotSent(detail) if limited else PostUnknown(detail)
            return PostTry(reply, again=True, retry_after=retry_after)
        if 400 <= status < 500 and status != _TIMED_OUT:
            return PostTry(PostRejected(detail))
        return PostTry(PostUnknown(detail), again=self.idempotent)
