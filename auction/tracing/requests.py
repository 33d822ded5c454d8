"""The span of a switch's request: the root of a call's trace, or a part of the switch's own."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.trace import SpanKind, Status, StatusCode, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from auction.tracing.spans import Spans

TRACED: Final = frozenset({"/v1/calls", "/v1/calls/next", "/v1/calls/events"})
"""What switches ask while a caller is on the line or has just been."""

_PROPAGATOR = TraceContextTextMapPropagator()


def traced_requests(spans: Spans) -> Middleware:
    """Joins the trace that ``traceparent`` names, else begins one."""

    @web.middleware
    async def in_a_span(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "POST" or request.path not in TRACED:
            return await handler(request)
        parent = _PROPAGATOR.extract(request.headers)
        span = spans.start(f"POST {request.path}", kind=SpanKind.SERVER, parent=parent)
        with use_span(span, end_on_exit=True, record_exception=False):
            response = await handler(request)
            span.set_attribute("http.response.status_code", response.status)
            if response.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            return response

    return in_a_span
