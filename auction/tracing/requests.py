"""The span of a switch's request: the root of a call's trace, or a part of the switch's own."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from auction.tracing.spans import Spans

TRACED: Final = frozenset({"/v1/calls", "/v1/calls/next", "/v1/calls/events"})
"""What switches ask while a caller is on the line or has just been."""

_LISTS: Final = frozenset({"", "json", "csv", "ndjson"})
"""What a GET of these paths names where it reads records instead."""

_PROPAGATOR = TraceContextTextMapPropagator()


def traced_requests(spans: Spans) -> Middleware:
    """Joins the trace that ``traceparent`` names, else begins one."""

    @web.middleware
    async def in_a_span(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_traced(request):
            return await handler(request)
        parent = _PROPAGATOR.extract(request.headers)
        name = f"{request.method} {request.path}"
        span = spans.start(name, kind=SpanKind.SERVER, parent=parent)
        # an error's own words may name the caller
        told = {"record_exception": False, "set_status_on_exception": False}
        with use_span(span, end_on_exit=True, **told):
            response = await _marked(span, handler, request)
            span.set_attribute("http.response.status_code", response.status)
            if response.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            return response

    return in_a_span


def is_traced(request: web.Request) -> bool:
    """Whether a switch asks or reports: by POST, or by a GET in a form of its own."""
    if request.path not in TRACED:
        return False
    if request.method == hdrs.METH_POST:
        return True
    return request.method == hdrs.METH_GET and request.query.get("format", "") not in _LISTS


async def _marked(span: Span, handler: Handler, request: web.Request) -> web.StreamResponse:
    try:
        return await handler(request)
    except BaseException:
        span.set_status(Status(StatusCode.ERROR))
        raise
