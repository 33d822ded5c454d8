"""From spans to a collector: OTLP over HTTP, set up by OpenTelemetry's own variables."""

import asyncio
import os
from threading import Thread

from aiohttp.typedefs import Middleware
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from auction.ports import BuyerGateway, NextLedger
from auction.tracing.gateway import TracedGateway
from auction.tracing.ledger import TracedLedger
from auction.tracing.requests import traced_requests
from auction.tracing.spans import Spans

FLUSH_S = 2.0
"""How long the last spans may take to leave when the service stops."""


def resource() -> Resource:
    """What every span is of: named ``pingpost`` unless the environment names it."""
    found = Resource.create({"process.pid": os.getpid()})
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "pingpost"}))
    return found


class Exporting:
    """Spans on their way to the collector; threads of the SDK send them.

    ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME`` (``pingpost``), ``OTEL_TRACES_SAMPLER``
    and the other variables of the OpenTelemetry specification say where to and how many.
    """

    def __init__(self) -> None:
        self._provider = TracerProvider(resource=resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._spans = Spans(self._provider.get_tracer("pingpost"))
        self.middlewares: tuple[Middleware, ...] = (traced_requests(self._spans),)

    def ledger(self, ledger: NextLedger) -> NextLedger:
        """See ``Tracing.ledger``."""
        return TracedLedger(ledger, self._spans)

    def gateway(self, gateway: BuyerGateway) -> BuyerGateway:
        """See ``Tracing.gateway``."""
        return TracedGateway(gateway, self._spans)

    async def close(self) -> None:
        """Send what is left; a collector that is away holds nobody up."""
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, FLUSH_S)
