"""``POST /v1/calls`` on a real socket."""

import asyncio
import io
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from auction import logs
from auction.domain.opening import OtherContent
from auction.ports import OverloadedError, StorageUnavailableError
from auction.web import bodies
from tests.eventually import eventually
from tests.http.api_fakes import ANSWER, Api, FakeServices, Reply, running_api
from tests.ledger_steps import VAULT

BODY: dict[str, Any] = {
    "call_id": "3848276298220188511@switch-1",
    "dialed_number": "(800) 555-0100",
    "campaign": None,
    "caller_id": "+13105551234",
    "source": "pub-17",
    "fields": {"vertical": "auto_insurance", "zip_code": "90210", "age": 41, "gone": None, "e": ""},
    "timeout_ms": 1800,
}


def problem_of(reply: Reply) -> dict[str, Any]:
    assert reply.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = reply.json()
    assert document["status"] == reply.status
    assert {"type", "title", "detail"} <= document.keys()
    return document


def paths_of(reply: Reply) -> list[str]:
    errors = problem_of(reply)["errors"]
    assert all(set(error) == {"path", "message"} and error["message"] for error in errors)
    return [error["path"] for error in errors]


async def test_a_call_reaches_the_reception_normalised_and_the_answer_comes_back_as_it_is() -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls", BODY)
    assert (reply.status, reply.body) == (200, ANSWER)
    assert reply.headers["Content-Type"] == "application/json"
    [(call, _)] = api.services.calls
    assert call.call_id == BODY["call_id"]
    assert call.dialed_number == "+18005550100"
    assert (call.caller.number, call.caller.state) == ("+13105551234", "CA")
    assert call.fields == {"vertical": "auto_insurance", "zip_code": "90210", "age": 41}
    assert (call.source, call.timeout_ms, call.test, call.switch) == (
        "pub-17",
        1800,
        False,
        "switch-1",
    )


@pytest.mark.parametrize(
    "caller_id",
    [None, "anonymous", "restricted", "", "x" * 5000, 5, 1.5, True, ["+13105551234"], {"a": 1}],
)
async def test_an_odd_caller_id_never_loses_a_call(caller_id: object) -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls", {**BODY, "caller_id": caller_id})
    assert reply.status == 200
    assert api.services.calls[0][0].caller.withheld


async def test_a_caller_id_nested_deeper_than_can_be_written_is_withheld_too() -> None:
    nested = b"[" * 500 + b"]" * 500
    body = b'{"call_id":"c","campaign":"auto","caller_id":' + nested + b"}"
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", data=body)
    assert reply.status == 200
    assert api.services.calls[0][0].caller.withheld


async def test_a_byte_order_mark_and_any_content_type_are_no_obstacle() -> None:
    async with running_api() as api:
        data = b"\xef\xbb\xbf" + orjson.dumps(BODY)
        reply = await api.send("POST", "/v1/calls", data=data, headers={"Content-Type": "text/x"})
    assert reply.status == 200


async def test_a_dialled_text_that_is_no_number_is_kept_as_it_is() -> None:
    async with running_api() as api:
        await api.post("/v1/calls", {**BODY, "dialed_number": "sales"})
    assert api.services.calls[0][0].dialed_number == "sales"


async def test_the_fingerprint_ignores_timeout_key_order_and_white_space_but_nothing_else() -> None:
    repeat = b'{ "timeout_ms": 5,' + orjson.dumps(dict(reversed(BODY.items())))[1:]
    repeat = repeat.replace(b'"timeout_ms":1800,', b"")
    async with running_api() as api:
        await api.post("/v1/calls", BODY)
        await api.send("POST", "/v1/calls", data=repeat)
        await api.post("/v1/calls", {**BODY, "fields": {"vertical": "home"}})
        await api.post("/v1/calls", {**BODY, "caller_id": "+13105551235"})
    first, same, *others = [fingerprint for _, fingerprint in api.services.calls]
    assert len(first) == 32
    assert same == first
    assert len({first, *others}) == 3


async def test_the_fingerprint_is_made_with_the_services_key() -> None:
    async with running_api() as api:
        await api.post("/v1/calls", BODY)
    content = {key: value for key, value in BODY.items() if key != "timeout_ms"}
    canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    assert api.services.calls[0][1] == VAULT.fingerprint(canonical)


async def test_other_content_under_the_same_call_id_is_a_conflict() -> None:
    async with running_api(FakeServices(answer=OtherContent())) as api:
        reply = await api.post("/v1/calls", BODY)
    assert reply.status == 409
    assert problem_of(reply)["type"] == "urn:pingpost:problem:conflict"


async def test_storage_away_is_503_with_retry_after() -> None:
    async with running_api(FakeServices(error=StorageUnavailableError("down"))) as api:
        reply = await api.post("/v1/calls", BODY)
    assert reply.status == 503
    assert reply.headers["Retry-After"] == "1"
    assert problem_of(reply)["type"].endswith("unavailable")
    assert problem_of(reply)["detail"] == "No durable answer can be given in time; ask again."


async def test_a_call_refused_for_the_load_is_503_with_retry_after() -> None:
    async with running_api(FakeServices(error=OverloadedError("too many"))) as api:
        reply = await api.post("/v1/calls", BODY)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    assert problem_of(reply)["type"].endswith("unavailable")
    assert problem_of(reply)["detail"] == "There is too much to do here right now; ask again."


async def test_no_more_requests_are_handled_at_once_than_the_limit_says() -> None:
    fake = FakeServices(gate=asyncio.Event())
    assert fake.gate is not None
    async with running_api(fake, max_requests=2) as api:
        waiting = [asyncio.create_task(api.post("/v1/calls", BODY)) for _ in range(2)]
        await eventually(lambda: len(fake.calls) == 2)
        reply = await api.post("/v1/calls", BODY)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        assert len(fake.calls) == 2
        fake.gate.set()
        assert [(await each).status for each in waiting] == [200, 200]
        assert (await api.post("/v1/calls", BODY)).status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"call_id=1", b'{"a":NaN}', b"\xff\xfe{}", b'{"a":1e400}']
)
async def test_a_body_that_is_no_json_is_400(body: bytes) -> None:
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", data=body)
    assert reply.status == 400
    assert problem_of(reply)["type"].endswith("not-json")
    assert api.services.calls == []


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
async def test_json_that_is_no_object_is_422(body: object) -> None:
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", data=orjson.dumps(body))
    assert reply.status == 422
    assert paths_of(reply) == [""]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"call_id": None}, "call_id"),
        ({"call_id": 5}, "call_id"),
        ({"call_id": ""}, "call_id"),
        ({"call_id": "x" * 129}, "call_id"),
        ({"call_id": "a\nb"}, "call_id"),
        ({"call_id": "a\x00"}, "call_id"),
        ({"call_id": "a\x7f"}, "call_id"),
        ({"call_id": "a\x85"}, "call_id"),
        ({"campaign": 5}, "campaign"),
        ({"campaign": "x" * 129}, "campaign"),
        ({"dialed_number": 18005550100}, "dialed_number"),
        ({"dialed_number": "+1800\x00"}, "dialed_number"),
        ({"source": ["pub"]}, "source"),
        ({"source": "x" * 129}, "source"),
        ({"source": "a\tb"}, "source"),
        ({"fields": []}, "fields"),
        ({"fields": {"zip": {"a": 1}}}, "fields.zip"),
        ({"fields": {"zip": ["9"]}}, "fields.zip"),
        ({"fields": {"zip": "x" * 4097}}, "fields.zip"),
        ({"fields": {"zip": "a\x00"}}, "fields.zip"),
        ({"fields": {"": "a"}}, "fields."),
        ({"fields": {"x" * 129: "a"}}, f"fields.{'x' * 128}"),
        ({"fields": {f"f{n}": 1 for n in range(201)}}, "fields"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"timeout_ms": -1}, "timeout_ms"),
        ({"timeout_ms": False}, "timeout_ms"),
        ({"timeout_ms": 1800.0}, "timeout_ms"),
        ({"timeout_ms": [1800]}, "timeout_ms"),
        ({"timeout_ms": 1.5}, "timeout_ms"),
        ({"timeout_ms": "1800"}, "timeout_ms"),
        ({"timeout_ms": True}, "timeout_ms"),
        ({"test": "yes"}, "test"),
        ({"test": 1}, "test"),
        ({"dialled_number": "+18005550100"}, "dialled_number"),
    ],
)
async def test_invalid_input_is_422_with_its_path(change: dict[str, object], path: str) -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls", {**BODY, **change})
    assert reply.status == 422
    assert paths_of(reply) == [path]
    assert api.services.calls == []


@pytest.mark.parametrize(
    "change",
    [
        {"call_id": "x" * 128},
        {"call_id": "späť 🎧 a/b?c#d%"},
        {"call_id": "zero\u200dwidth\u2028\u202e"},
        {"source": "a\u200db"},
        {"fields": {"a\u200db": 1}},
        {"source": None},
        {"source": ""},
        {"campaign": "auto", "dialed_number": None},
        {"fields": None},
        {"fields": {f"f{n}": "x" for n in range(200)}},
        {"fields": {"note": "two\nlines", "big": 2**63, "half": 0.5, "yes": True}},
        {"timeout_ms": None},
        {"timeout_ms": 1},
        {"test": True},
        {"test": None},
    ],
)
async def test_what_lies_within_the_limits_is_taken(change: dict[str, object]) -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls", {**BODY, **change})
    assert reply.status == 200, reply.body


@pytest.mark.parametrize(
    ("sent", "counts_as"),
    [
        (60_001, 60_001),
        (600_000, 600_000),
        (600_001, 600_000),
        (2**63, 600_000),
        (2**64, 600_000),
        (10**30, 600_000),
    ],
)
async def test_any_long_timeout_is_taken_and_counts_as_ten_minutes_at_most(
    sent: int, counts_as: int
) -> None:
    body = orjson.dumps({**BODY, "timeout_ms": 0}).replace(
        b'"timeout_ms":0', b'"timeout_ms":%d' % sent
    )
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", data=body)
    assert reply.status == 200, reply.body
    assert api.services.calls[0][0].timeout_ms == counts_as


async def test_a_timeout_far_below_zero_is_422() -> None:
    body = orjson.dumps({**BODY, "timeout_ms": 0}).replace(
        b'"timeout_ms":0', b'"timeout_ms":-%d' % 10**30
    )
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", data=body)
    assert (reply.status, paths_of(reply)) == (422, ["timeout_ms"])


async def test_all_faults_are_told_at_once() -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls", {"fields": {"a": []}, "timeout_ms": -1, "x": 1})
    expected = {"call_id", "fields.a", "timeout_ms", "x", "campaign", "dialed_number"}
    assert reply.status == 422
    assert set(paths_of(reply)) == expected


@pytest.mark.parametrize("empty", [{}, {"campaign": ""}, {"dialed_number": None, "campaign": None}])
async def test_neither_campaign_nor_number_names_both(empty: dict[str, object]) -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls", {"call_id": "c", **empty})
    assert paths_of(reply) == ["campaign", "dialed_number"]


async def test_errors_repeat_nothing_that_was_sent() -> None:
    body = {
        "call_id": "c\n4155550111",
        "caller_id": "+14155550112",
        "dialed_number": "x" * 200 + "4155550113",
        "fields": {"ssn": ["4155550114"], "4155550115": {}},
        "4155550116": 1,
    }
    async with running_api() as api:
        reply = await api.post("/v1/calls", body)
    assert reply.status == 422
    assert b"415555" not in reply.body


async def test_no_token_is_401_with_a_challenge() -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls", BODY, token=None)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    problem_of(reply)
    assert api.services.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic calls"},
        {"Authorization": "calls"},
        {"Authorization": "Bearer " + "x" * 2000},
        {"Authorization": "Bearer cälls"},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
    ],
)
async def test_a_bad_token_is_401(headers: dict[str, str]) -> None:
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", token=None, headers=headers, json=BODY)
    assert reply.status == 401
    problem_of(reply)
    assert api.services.calls == []


async def test_a_token_of_broken_bytes_is_401() -> None:
    async with running_api() as api:
        request = b"POST /v1/calls HTTP/1.1\r\nHost: a\r\nX-API-Key: \xff\xfe\r\n\r\n"
        answer = await api.head_after(request)
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer calls"},
        {"Authorization": "bearer  calls"},
        {"X-API-Key": "calls"},
        {"Authorization": "Basic eDp5", "X-API-Key": "admin"},
    ],
)
async def test_either_header_brings_the_token(headers: dict[str, str]) -> None:
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", token=None, headers=headers, json=BODY)
    assert reply.status == 200


@pytest.mark.parametrize("token", ["read", "postback", "pii"])
async def test_a_token_without_the_scope_is_403(token: str) -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls", BODY, token=token)
    assert reply.status == 403
    assert "calls" in problem_of(reply)["detail"]
    assert api.services.calls == []


async def test_a_source_token_stands_for_its_source_and_for_no_other() -> None:
    async with running_api() as api:
        unnamed = await api.post("/v1/calls", {**BODY, "source": None}, token="pub-17")
        named = await api.post("/v1/calls", BODY, token="pub-17")
        other = await api.post("/v1/calls", BODY, token="pub-18")
    assert (unnamed.status, named.status, other.status) == (200, 200, 403)
    assert [call.source for call, _ in api.services.calls] == ["pub-17", "pub-17"]


async def test_a_body_of_64_kib_is_read_and_one_byte_more_is_413() -> None:
    body = orjson.dumps(BODY)
    limit = 64 * 1024
    async with running_api() as api:
        at_limit = await api.send("POST", "/v1/calls", data=body.ljust(limit))
        above = await api.send("POST", "/v1/calls", data=body.ljust(limit + 1))
    assert (at_limit.status, above.status) == (200, 413)
    assert problem_of(above)["type"].endswith("too-large")


async def test_a_body_of_one_mebibyte_is_413_and_the_next_call_goes_through() -> None:
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", data=b" " * 2**20)
        after = await api.post("/v1/calls", BODY)
    assert (reply.status, after.status) == (413, 200)


async def test_a_chunked_body_is_bounded_too() -> None:
    async def pieces() -> Any:
        for _ in range(64):
            yield b" " * 16_384

    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", data=pieces())
    assert reply.status == 413


async def test_an_announced_mebibyte_is_refused_before_it_is_sent() -> None:
    async with running_api() as api:
        answer = await api.head_after(head_of(f"Content-Length: {2**20}"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


async def test_a_client_that_waits_for_100_continue_is_refused_without_its_body() -> None:
    async with running_api() as api:
        head = head_of(f"Content-Length: {2**20}", "Expect: 100-continue")
        answer = await api.head_after(head)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", json=BODY, expect100=True)
    assert reply.status == 200


async def test_an_expectation_unheard_of_is_417() -> None:
    async with running_api() as api:
        reply = await api.send("POST", "/v1/calls", json=BODY, headers={"Expect": "a-miracle"})
    assert reply.status == 417
    problem_of(reply)


async def test_bytes_that_are_no_text_are_no_failure_in_any_header() -> None:
    names = [
        "Accept",
        "Content-Type",
        "Expect",
        "If-Match",
        "traceparent",
        "X-API-Key",
        "X-Forwarded-Host",
        "Range",
    ]
    async with running_api() as api:
        for path in ("/v1/calls", "/openapi.json"):
            for name in names:
                head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{name}: ".encode()
                answer = await api.raw(head + b"\xff\r\n\r\n")
                assert b" 400 " <= answer[8:13] < b" 500 " or answer[8:13] == b" 200 ", (path, name)


async def test_a_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.05)
    async with running_api() as api:
        answer = await api.head_after(head_of("Content-Length: 100") + b"{")
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_leaves_in_its_body_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running_api() as api:
        async with api.connected() as (_, writer):
            writer.write(head_of("Content-Length: 100") + b"{")
            await eventually(lambda: api.drain.in_flight == 1)
        await eventually(lambda: api.drain.in_flight == 0)
        reply = await api.post("/v1/calls", BODY)
    assert reply.status == 200
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/calls HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_a_request_that_is_no_http_is_a_problem_too(request_bytes: bytes) -> None:
    async with running_api() as api:
        answer = await api.raw(request_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert b"application/problem+json" in head
    assert orjson.loads(body)["status"] == 400


async def test_a_chunked_body_with_bad_framing_is_400() -> None:
    async with running_api() as api:
        answer = await api.raw(head_of("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n")
    assert answer.split()[1] == b"400"
    assert b"application/problem+json" in answer


async def test_a_chunked_body_that_breaks_half_way_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.2)
    async with running_api() as api, api.connected() as (reader, writer):
        writer.write(head_of("Transfer-Encoding: chunked") + b"1\r\n{\r\n")
        await eventually(lambda: api.drain.in_flight == 1)
        writer.write(b"zz\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert answer.split()[1] in {b"400", b"408"}
    assert b"application/problem+json" in answer


async def test_an_unknown_path_is_404_and_a_wrong_method_405_with_allow() -> None:
    async with running_api() as api:
        missing = await api.get("/v1/nothing")
        listing = await api.get("/v1/calls/next/or/so")
        put = await api.send("PUT", "/v1/calls")
    assert (missing.status, listing.status, put.status) == (404, 404, 405)
    assert put.headers["Allow"] == "GET,HEAD,POST"
    for reply in (missing, listing, put):
        problem_of(reply)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_a_surprise_is_500_with_a_reference_and_no_detail(log: io.StringIO) -> None:
    error = RuntimeError("no seat for +13105551234, password=hunter2")
    async with running_api(FakeServices(error=error)) as api:
        reply = await api.post("/v1/calls", BODY)
    assert reply.status == 500
    reference = problem_of(reply)["reference"]
    assert b"seat" not in reply.body
    [line] = [orjson.loads(text) for text in log.getvalue().splitlines()]
    assert (line["reference"], line["action"]) == (reference, "request_failed")
    assert "no seat" in line["error"]
    assert "3105551234" not in log.getvalue()
    assert "hunter2" not in log.getvalue()


async def test_a_draining_service_answers_and_closes_the_connection() -> None:
    gate = asyncio.Event()
    async with running_api(FakeServices(gate=gate)) as api:
        pending = asyncio.create_task(api.post("/v1/calls", BODY))
        await eventually(lambda: api.drain.in_flight == 1)
        api.drain.begin()
        assert not await api.drain.wait_idle(0.01)
        gate.set()
        reply = await pending
        assert await api.drain.wait_idle(5)
    assert (reply.status, reply.headers["Connection"]) == (200, "close")


async def test_a_decision_goes_on_when_the_switch_hangs_up() -> None:
    gate = asyncio.Event()
    body = orjson.dumps(BODY)
    async with running_api(FakeServices(gate=gate)) as api:
        async with api.connected() as (_, writer):
            writer.write(head_of(f"Content-Length: {len(body)}") + body)
            await eventually(lambda: api.services.calls)
        assert api.drain.in_flight == 1
        gate.set()
        await eventually(lambda: api.drain.in_flight == 0)


def head_of(*lines: str) -> bytes:
    head = ["POST /v1/calls HTTP/1.1", "Host: a", "Authorization: Bearer calls", *lines, "", ""]
    return "\r\n".join(head).encode()


async def test_calls_at_once_keep_their_own_answers() -> None:
    async with running_api() as api:
        replies = await asyncio.gather(*(_call(api, number) for number in range(50)))
    assert {reply.status for reply in replies} == {200}
    assert {call.call_id for call, _ in api.services.calls} == {f"c-{n}" for n in range(50)}


async def _call(api: Api, number: int) -> Reply:
    return await api.post("/v1/calls", {**BODY, "call_id": f"c-{number}"})


async def test_a_body_that_is_not_gzip_as_announced_leaves_no_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running_api() as api:
        head = b"POST /v1/calls HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer calls\r\n"
        coded = b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!"
        answer = await api.raw(head + coded)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert (await api.send("POST", "/v1/calls", json={})).status == 422
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
