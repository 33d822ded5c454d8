"""The spans of a call. They hold ids, names and amounts: nothing of the caller, no secret."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace import get_current_span as current_span

PREFIX = "pingpost."

About = Mapping[str, str | int]

_opened_at: ContextVar[int | None] = ContextVar("pingpost_opened_at", default=None)


class Spans:
    """Starts the spans of calls; each belongs to the request that the running task answers."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start(
        self,
        name: str,
        about: About = MappingProxyType({}),
        kind: SpanKind = SpanKind.INTERNAL,
        parent: Context | None = None,
    ) -> Span:
        """A span that whoever starts it must end; ``about`` are attributes under our prefix.

        ``parent`` None: the span that the running task is in.
        """
        return self._tracer.start_span(name, parent, kind, _attributes(about))

    @contextmanager
    def around(self, name: str, **about: str | int) -> Iterator[None]:
        """A span around a step; one that raises is marked, without what it says."""
        span = self.start(name, about)
        try:
            yield
        except BaseException:
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()

    def opened(self) -> None:
        """The running task has claimed its call: from here on it finds out who may be asked."""
        _opened_at.set(time.time_ns())

    def eligibility_over(self) -> None:
        """The running task begins to act on who is eligible; told again, nothing happens."""
        opened_at = _opened_at.get()
        if opened_at is not None:
            _opened_at.set(None)
            self._tracer.start_span("eligibility", start_time=opened_at).end()


def traceparent(span: Span) -> str | None:
    """The header by which others join the span's trace (W3C Trace Context)."""
    context = span.get_span_context()
    if context == INVALID_SPAN_CONTEXT:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def describe_request(**about: str | int) -> None:
    """Say more of the request that the running task answers."""
    current_span().set_attributes(_attributes(about))


def _attributes(about: About) -> dict[str, str | int]:
    return {PREFIX + key: value for key, value in about.items()}
