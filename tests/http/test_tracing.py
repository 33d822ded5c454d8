"""One trace per call at a real collector's, and nothing of it where it is off."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from auction.tracing.provider import FLUSH_S
from auction.tracing.requests import traced_requests
from auction.tracing.spans import Spans
from auction.tracing.starting import Untraced, start_tracing
from config.faults import ConfigError
from config.secret_box import new_key
from storage.memory import MemoryLedger
from tests.eventually import eventually
from tests.service_process import a_service, a_switch
from tests.unit.engine.harness import ScriptedGateway

MARKETPLACE = """
campaigns:
  - {{id: auto, name: Auto}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        ping_post:
          ping: {{url: "{url}/acme/ping", headers: {{traceparent: "{{{{ traceparent }}}}"}}}}
          post: {{url: "{url}/acme/post", headers: {{traceparent: "{{{{ traceparent }}}}"}}}}
  - id: beacon
    name: Beacon
    offers:
      - id: beacon-auto
        campaign: auto
        destination: {{uri: "sip:b@beacon.example"}}
        ping_post: {{ping: {{url: "{url}/beacon/ping", timeout_ms: 300}}}}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: 18
"""
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = "+13105551234"


@dataclass
class Outside:
    """Buyers and a collector on one port; the bytes that came, and what they say."""

    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    exported: bytes = b""
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    hangs: bool = False
    hanging: int = 0

    async def ping(self, request: web.Request) -> web.Response:
        """Acme bids at once, Beacon never answers in time."""
        self.asked.append((request.path, request.headers.get("traceparent")))
        if request.path == "/beacon/ping":
            await asyncio.sleep(30)
        return web.json_response({"accepted": True, "bid": "52.00"})

    async def collect(self, request: web.Request) -> web.Response:
        """OTLP over HTTP."""
        body = await request.read()
        if self.hangs:
            self.hanging += 1
            await asyncio.sleep(60)
        self.exported += body
        batch = ExportTraceServiceRequest.FromString(body)
        for resource in batch.resource_spans:
            said_of = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(said_of["service.name"])
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")

    def of(self, name: str, offer: str | None = None) -> Span:
        """The only span of a name, and of an offer if one is named."""
        named = [each for each in self.spans if each.name == name]
        [found] = [each for each in named if offer in (None, said(each).get("pingpost.offer"))]
        return found


def said(span: Span) -> dict[str, str | int]:
    """A span's attributes."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@asynccontextmanager
async def the_outside() -> AsyncIterator[Outside]:
    outside, application = Outside(), web.Application()
    for path in ("/acme/ping", "/acme/post", "/beacon/ping"):
        application.router.add_post(path, outside.ping)
    application.router.add_post("/v1/traces", outside.collect)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        outside.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield outside
    finally:
        await runner.cleanup()


def environment(dsn: str, **more: str) -> dict[str, str]:
    return {"PINGPOST_DSN": dsn, "PINGPOST_SECRET_KEY": new_key(), **more}


def a_file(folder: Path, url: str) -> Path:
    path = folder / "marketplace.yaml"
    path.write_text(MARKETPLACE.format(url=url))
    return path


async def test_a_call_is_one_trace_which_switch_and_buyers_share(tmp_path: Path, dsn: str) -> None:
    async with the_outside() as outside:
        traced = environment(
            dsn,
            PINGPOST_TRACING="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=outside.url,
            OTEL_BSP_SCHEDULE_DELAY="50",
        )
        arguments = ("--marketplace", str(a_file(tmp_path, outside.url)))
        async with (
            a_service(tmp_path / "data", *arguments, environment=traced) as service,
            a_switch() as switch,
        ):
            call = {"call_id": "c-1", "campaign": "auto", "caller_id": CALLER}
            header = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            url = f"{service.url}/v1/calls"
            async with switch.session.post(url, json=call, headers=header) as response:
                assert (await response.json())["offer"] == "acme-auto"
            await eventually(lambda: len(outside.spans) == 8, within_s=15)

    assert outside.services == {"pingpost"}
    root = outside.of("POST /v1/calls")
    assert {each.trace_id.hex() for each in outside.spans} == {TRACE}
    assert root.parent_span_id.hex() == PARENT
    inner = [each for each in outside.spans if each is not root]
    assert {each.parent_span_id for each in inner} == {root.span_id}
    names = ["eligibility", "finish", "open", "ping", "ping", "post", "reserve"]
    assert sorted(each.name for each in inner) == names
    assert said(root) == {
        "pingpost.call_id": "c-1",
        "pingpost.campaign": "auto",
        "pingpost.action": "route",
        "pingpost.attempt": 1,
        "pingpost.offer": "acme-auto",
        "pingpost.routed_by": "auction",
        "http.response.status_code": 200,
    }
    assert root.kind == Span.SPAN_KIND_SERVER
    assert root.status.code == Status.STATUS_CODE_UNSET
    ping, post = outside.of("ping", "acme-auto"), outside.of("post", "acme-auto")
    assert (said(ping)["pingpost.outcome"], said(post)["pingpost.outcome"]) == ("quote", "accepted")
    late = outside.of("ping", "beacon-auto")
    assert said(late)["pingpost.outcome"] == "timeout"
    assert late.status.code == Status.STATUS_CODE_ERROR
    order = ["open", "eligibility", "reserve", "post", "finish"]
    starts = [outside.of(name).start_time_unix_nano for name in order]
    assert starts == sorted(starts)
    assert sorted(outside.asked) == [
        ("/acme/ping", f"00-{TRACE}-{ping.span_id.hex()}-01"),
        ("/acme/post", f"00-{TRACE}-{post.span_id.hex()}-01"),
        ("/beacon/ping", None),
    ]
    assert CALLER[1:].encode() not in outside.exported


async def test_a_call_asked_for_by_a_get_is_one_trace_too_and_a_list_none(
    tmp_path: Path, dsn: str
) -> None:
    async with the_outside() as outside:
        traced = environment(dsn, PINGPOST_TRACING="1", OTEL_EXPORTER_OTLP_ENDPOINT=outside.url)
        arguments = ("--marketplace", str(a_file(tmp_path, outside.url)))
        async with (
            a_service(tmp_path / "data", *arguments, environment=traced) as service,
            a_switch() as switch,
        ):
            url = f"{service.url}/v1/calls"
            header = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            called = {"CallSid": "CA1", "campaign": "auto", "From": CALLER, "format": "twiml"}
            async with switch.session.get(url, params=called, headers=header) as response:
                assert "sip:a@acme.example" in await response.text()
            for listed in ({}, {"format": "csv"}):
                async with switch.session.get(url, params=listed) as response:
                    assert response.status == 200

    assert {each.trace_id.hex() for each in outside.spans} == {TRACE}
    root = outside.of("GET /v1/calls")
    assert (len(outside.spans), root.parent_span_id.hex()) == (8, PARENT)
    assert CALLER[1:].encode() not in outside.exported


async def test_an_error_that_escapes_marks_its_span_without_what_it_says() -> None:
    provider, kept = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    middleware = traced_requests(Spans(provider.get_tracer("test")))

    async def fails(_: web.Request) -> web.Response:
        raise ValueError(CALLER)

    with pytest.raises(ValueError, match="1310"):
        await middleware(make_mocked_request("POST", "/v1/calls"), fails)
    [span] = kept.get_finished_spans()
    assert (span.status.is_ok, span.status.description, span.events) == (False, None, ())


@pytest.mark.parametrize(("status", "is_ours"), [(200, False), (422, False), (503, True)])
async def test_only_an_answer_that_is_our_fault_marks_its_request(
    status: int, is_ours: bool
) -> None:
    provider, kept = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    middleware = traced_requests(Spans(provider.get_tracer("test")))

    async def answers(_: web.Request) -> web.Response:
        return web.Response(status=status)

    await middleware(make_mocked_request("POST", "/v1/calls"), answers)
    [span] = kept.get_finished_spans()
    assert span.attributes == {"http.response.status_code": status}
    assert (span.status.status_code is StatusCode.ERROR) == is_ours


async def test_a_further_attempt_and_its_events_join_the_trace_the_switch_names(
    tmp_path: Path, dsn: str
) -> None:
    async with the_outside() as outside:
        traced = environment(dsn, PINGPOST_TRACING="1", OTEL_EXPORTER_OTLP_ENDPOINT=outside.url)
        arguments = ("--marketplace", str(a_file(tmp_path, outside.url)))
        async with (
            a_service(tmp_path / "data", *arguments, environment=traced) as service,
            a_switch() as switch,
        ):
            await switch.route(service, call_id="c-1", campaign="auto")
            again = {"call_id": "c-1", "attempt": 1, "reason": "busy"}
            header = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            url = f"{service.url}/v1/calls/next"
            async with switch.session.post(url, json=again, headers=header) as response:
                assert (await response.json())["offer"] == "cobalt-auto"

    # What was not sent yet when the service stopped was sent then.
    joined = [each for each in outside.spans if each.trace_id.hex() == TRACE]
    names = ["POST /v1/calls/next", "eligibility", "finish", "open", "reserve"]
    assert sorted(each.name for each in joined) == names


async def test_a_collector_that_is_away_changes_no_answer_and_holds_up_no_stop(
    tmp_path: Path, dsn: str
) -> None:
    nobody = "http://127.0.0.1:9"
    async with the_outside() as outside:
        traced = environment(dsn, PINGPOST_TRACING="1", OTEL_EXPORTER_OTLP_ENDPOINT=nobody)
        arguments = ("--marketplace", str(a_file(tmp_path, outside.url)))
        async with (
            a_service(tmp_path / "data", *arguments, environment=traced) as service,
            a_switch() as switch,
        ):
            decided = await switch.route(service, call_id="c-1", campaign="auto")
            assert decided["offer"] == "acme-auto"
            assert await service.stop() == 0


async def test_a_collector_that_never_answers_holds_a_stop_up_for_its_two_seconds_only(
    tmp_path: Path, dsn: str
) -> None:
    async with the_outside() as outside:
        outside.hangs = True
        traced = environment(
            dsn,
            PINGPOST_TRACING="1",
            OTEL_EXPORTER_OTLP_ENDPOINT=outside.url,
            OTEL_EXPORTER_OTLP_TIMEOUT="60",
            OTEL_BSP_SCHEDULE_DELAY="50",
        )
        arguments = ("--marketplace", str(a_file(tmp_path, outside.url)))
        async with (
            a_service(tmp_path / "data", *arguments, environment=traced) as service,
            a_switch() as switch,
        ):
            decided = await switch.route(service, call_id="c-1", campaign="auto")
            assert decided["offer"] == "acme-auto"
            await eventually(lambda: outside.hanging, within_s=15)
            began = asyncio.get_running_loop().time()
            # It raises after 15 s; the collector would take a minute.
            assert await service.stop() == 0
            assert asyncio.get_running_loop().time() - began >= FLUSH_S


async def test_a_refused_request_is_no_error_of_ours_and_its_span_has_the_status(
    tmp_path: Path, dsn: str
) -> None:
    async with the_outside() as outside:
        traced = environment(dsn, PINGPOST_TRACING="1", OTEL_EXPORTER_OTLP_ENDPOINT=outside.url)
        arguments = ("--marketplace", str(a_file(tmp_path, outside.url)))
        async with (
            a_service(tmp_path / "data", *arguments, environment=traced) as service,
            a_switch() as switch,
        ):
            url = f"{service.url}/v1/calls"
            async with switch.session.post(url, json={"call_id": CALLER}) as response:
                assert response.status == 422
    [span] = outside.spans
    assert said(span) == {"http.response.status_code": 422}
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert CALLER[1:].encode() not in outside.exported


async def test_a_call_that_the_switch_does_not_keep_is_kept_nowhere(
    tmp_path: Path, dsn: str
) -> None:
    async with the_outside() as outside:
        traced = environment(dsn, PINGPOST_TRACING="1", OTEL_EXPORTER_OTLP_ENDPOINT=outside.url)
        arguments = ("--marketplace", str(a_file(tmp_path, outside.url)))
        async with (
            a_service(tmp_path / "data", *arguments, environment=traced) as service,
            a_switch() as switch,
        ):
            url, call = f"{service.url}/v1/calls", {"call_id": "c-1", "campaign": "auto"}
            header = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
            async with switch.session.post(url, json=call, headers=header) as response:
                assert (await response.json())["offer"] == "acme-auto"
    assert outside.spans == []
    told = [header.split("-") for _, header in outside.asked if header is not None]
    assert [(trace, int(flags, 16) & 1) for _, trace, _, flags in told] == [(TRACE, 0)] * 2


def test_a_service_that_does_not_trace_never_loads_opentelemetry() -> None:
    looks = "import sys, json, auction.app, auction.cli; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-c", looks], capture_output=True, check=True, timeout=60
    )
    loaded = json.loads(printed.stdout)
    assert "auction.app" in loaded
    assert [name for name in loaded if name.startswith("opentelemetry")] == []


def test_tracing_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "auction.tracing.provider", None)
    with pytest.raises(
        ConfigError, match=r"the extra `otel`, or the packages of requirements\.lock"
    ):
        start_tracing(on=True)


def test_untraced_parts_are_the_parts_themselves() -> None:
    untraced = start_tracing(on=False)
    assert isinstance(untraced, Untraced)
    gateway, ledger = ScriptedGateway({}), MemoryLedger(lambda: datetime.now(UTC))
    assert untraced.gateway(gateway) is gateway
    assert untraced.ledger(ledger) is ledger
    assert untraced.middlewares == ()
