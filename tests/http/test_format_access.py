"""Who may ask in a switch's form: tokens in three ways, signatures, and each call's own key."""

import base64
import hmac
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.etree import ElementTree as Tree

import pytest

from auction.ports import StorageUnavailableError
from auction.web.services import Signing
from tests.builders import NOON
from tests.http.api_fakes import Api, FakeRerouter, FakeServices, Reply, running_api
from tests.http.format_steps import Recorded, routed

CALL = "CallSid=CA1&From=%2B13105551234&To=%2B18005550100"
BUSY = "CallSid=CA1&CallStatus=in-progress&DialCallStatus=busy"
TWILIO = Signing(twilio=("auth-token",), public_url="https://calls.example")
JAMBONZ = Signing(jambonz=("wh_secret",))
ASKED = "/v1/calls?format=twiml"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def twilio_signature(url: str, form: str, token: str = "auth-token") -> str:
    fields = "".join(name + value for name, value in sorted(parse_qsl(form)))
    digest = hmac.new(token.encode(), (url + fields).encode(), "sha1").digest()
    return base64.b64encode(digest).decode()


def jambonz_signature(body: str, secret: str = "wh_secret") -> str:
    at = int(NOON.timestamp())
    digest = hmac.new(secret.encode(), f"{at}.{body}".encode(), "sha256").hexdigest()
    return f"t={at},v1={digest}"


async def ask(api: Api, headers: dict[str, str], path: str = ASKED, body: str = CALL) -> Reply:
    return await Recorded(path, body, headers=headers).sent_to(api, token=None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer calls"},
        {"X-API-Key": "calls"},
        {"Authorization": basic("twilio", "calls")},
        {"Authorization": basic("", "calls").replace("Basic", "basic")},
        {"Authorization": basic("proxy", "nonsense"), "X-API-Key": "calls"},
    ],
)
async def test_a_token_comes_in_three_ways(headers: dict[str, str]) -> None:
    services = FakeServices(answer=routed("CA1"))
    async with running_api(services) as api:
        assert (await ask(api, headers)).status == 200
    assert services.calls[0][0].switch == "switch-1"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": basic("calls", "")},
        {"Authorization": basic("calls", "nobody")},
        {"Authorization": "Basic calls"},
        {"Authorization": "Basic " + base64.b64encode(b"no-colon").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"Authorization": "Basic " + "A" * 4000},
        {"Authorization": "Digest calls"},
    ],
)
async def test_nobody_is_asked_for_a_password(headers: dict[str, str]) -> None:
    async with running_api() as api:
        reply = await ask(api, headers)
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Basic realm="pingpost"')


async def test_a_password_that_may_not_report_is_refused() -> None:
    async with running_api() as api:
        assert (await ask(api, {"Authorization": basic("x", "read")})).status == 403


async def test_asterisk_reads_an_error_as_a_hash() -> None:
    async with running_api() as api:
        reply = await ask(api, {}, "/v1/calls?format=kv", "call_id=c-1&campaign=auto")
    assert reply.status == 401
    assert reply.headers["Content-Type"] == "application/x-www-form-urlencoded"
    told = parse_qs(reply.body.decode())
    assert (told["action"], told["status"], told["reason"]) == (
        ["error"],
        ["401"],
        ["unauthorized"],
    )


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("secret"), "500"), (StorageUnavailableError(), "503")]
)
async def test_asterisk_reads_a_failure_as_a_hash(error: Exception, status: str) -> None:
    async with running_api(FakeServices(error=error)) as api:
        password = {"Authorization": basic("x", "calls")}
        reply = await ask(api, password, "/v1/calls?format=kv", "call_id=c-1&campaign=auto")
    told = parse_qs(reply.body.decode())
    assert (str(reply.status), told["action"], told["status"]) == (status, ["error"], [status])
    assert b"secret" not in reply.body


async def test_a_source_that_a_token_is_bound_to_stands() -> None:
    services = FakeServices(answer=routed("CA1"))
    async with running_api(services) as api:
        password = {"Authorization": basic("x", "pub-17")}
        fine = await ask(api, password)
        other = await ask(api, password, f"{ASKED}&source=pub-18")
    assert (fine.status, services.calls[0][0].source, other.status) == (200, "pub-17", 403)


async def test_twilios_signature_is_enough_and_names_the_switch() -> None:
    services = FakeServices(answer=routed("CA1"))
    signature = twilio_signature(f"https://calls.example{ASKED}", CALL)
    async with running_api(services, signing=TWILIO) as api:
        reply = await ask(api, {"X-Twilio-Signature": signature})
    assert (reply.status, services.calls[0][0].switch) == (200, "twilio")


async def test_without_a_public_address_the_one_that_was_asked_is_signed() -> None:
    async with running_api(
        FakeServices(answer=routed("CA1")), signing=Signing(twilio=("auth-token",))
    ) as api:
        signature = twilio_signature(f"http://127.0.0.1:{api.port}{ASKED}", CALL)
        reply = await ask(api, {"X-Twilio-Signature": signature})
    assert reply.status == 200


async def test_what_the_address_has_escaped_is_signed_as_it_is() -> None:
    path = "/v1/calls?format=twiml&campaign=auto%20home&fields.note=a%2Bb+c&x=%c3%a9"
    services = FakeServices(answer=routed("CA1"))
    signature = twilio_signature(f"https://calls.example{path}", CALL)
    async with running_api(services, signing=TWILIO) as api:
        reply = await ask(api, {"X-Twilio-Signature": signature}, path)
    assert (reply.status, services.calls[0][0].campaign) == (200, "auto home")


async def test_a_user_in_the_address_may_be_signed_too() -> None:
    signature = twilio_signature(f"https://twilio:calls@calls.example{ASKED}", CALL)
    headers = {"X-Twilio-Signature": signature, "Authorization": basic("twilio", "calls")}
    async with running_api(FakeServices(answer=routed("CA1")), signing=TWILIO) as api:
        assert (await ask(api, headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Twilio-Signature": ""},
        {"X-Twilio-Signature": twilio_signature(f"https://calls.example{ASKED}", CALL, "other")},
        {"X-Twilio-Signature": twilio_signature(f"https://calls.example{ASKED}", BUSY)},
        {"X-Twilio-Signature": twilio_signature(f"https://other.example{ASKED}", CALL)},
        {"Authorization": "Bearer calls"},
        {"Authorization": "Bearer calls", "X-Twilio-Signature": "nonsense"},
        {"X-Twilio-Signature": "\udcff"},
    ],
)
async def test_a_signature_that_is_configured_must_be_there_and_good(
    headers: dict[str, str],
) -> None:
    services = FakeServices(answer=routed("CA1"))
    async with running_api(services, signing=TWILIO) as api:
        reply = await ask(api, headers)
    assert (reply.status, services.calls) == (403, [])


async def test_a_signature_is_asked_of_its_own_switch_alone() -> None:
    async with running_api(FakeServices(answer=routed("CA1")), signing=TWILIO) as api:
        telnyx = await ask(api, {"Authorization": "Bearer calls"}, "/v1/calls?format=texml")
        plain = await ask(api, {"Authorization": "Bearer calls"}, "/v1/calls?format=json")
    assert (telnyx.status, plain.status) == (200, 200)


async def test_jambonz_signs_its_body() -> None:
    body = '{"call_sid":"CA1","from":"+13105551234","to":"+18005550100"}'
    path = "/v1/calls?format=jambonz"
    services = FakeServices(answer=routed("CA1"))
    async with running_api(services, signing=JAMBONZ) as api:
        good = await ask(api, {"Jambonz-Signature": jambonz_signature(body)}, path, body)
        bad = await ask(api, {"Jambonz-Signature": jambonz_signature(body + " ")}, path, body)
        token = await ask(api, {"Authorization": "Bearer calls"}, path, body)
    assert [each.status for each in (good, bad, token)] == [200, 403, 403]
    assert [call.switch for call, _ in services.calls] == ["jambonz"]


def key_of(reply: Reply) -> str:
    [dial] = Tree.fromstring(reply.body)
    [key] = parse_qs(urlsplit(dial.get("action") or "").query)["key"]
    return key


async def test_a_calls_own_address_needs_no_token_and_opens_no_other_call() -> None:
    services, rerouter = FakeServices(answer=routed("CA1")), FakeRerouter(routed("CA1", attempt=2))
    async with running_api(services, rerouter) as api:
        key = key_of(await ask(api, {"Authorization": "Bearer calls"}))
        at = "/v1/calls/next?format=twiml&attempt=1"
        own = await ask(api, {}, f"{at}&call=CA1&key={key}", BUSY)
        other = await ask(api, {}, f"{at}&call=CA2&key={key}", BUSY)
        without = await ask(api, {}, f"{at}&call=CA1", BUSY)
        guessed = await ask(api, {}, f"{at}&call=CA1&key={key[:-1]}A", BUSY)
        fresh = await ask(api, {}, f"{ASKED}&call=CA1&key={key}")
        wrong = await ask(api, {"X-API-Key": "nobody"}, f"{at}&call=CA1&key={key}", BUSY)
        posted = await ask(api, {}, f"{at}&call=CA1", f"{BUSY}&key={key}")
    assert own.status == 200
    refused = (other, without, guessed, fresh, wrong, posted)
    assert [each.status for each in refused] == [401] * 6
    assert (len(rerouter.asked), len(services.calls)) == (1, 1)


async def test_with_a_public_address_the_links_are_whole() -> None:
    async with running_api(
        FakeServices(answer=routed("CA1")), signing=Signing(public_url="https://calls.example")
    ) as api:
        [dial] = Tree.fromstring((await ask(api, {"X-API-Key": "calls"})).body)
    assert (dial.get("action") or "").startswith("https://calls.example/v1/calls/next?")


@pytest.mark.parametrize("host", ["evil.example/x?", "a b", "x<y", "[::1", "h:999999"])
async def test_a_host_that_is_none_gets_into_no_answer(host: str) -> None:
    services = FakeServices(answer=routed("CA1"))
    async with running_api(services) as api:
        headers = {"X-API-Key": "calls", "Host": host}
        reply = await ask(api, headers, "/v1/calls?format=fsxml")
    assert reply.status in {200, 400}
    assert host.encode() not in reply.body


async def test_a_head_decides_nothing() -> None:
    services = FakeServices(answer=routed("CA1"))
    async with running_api(services) as api:
        statuses = [
            (await api.send("HEAD", path, token="admin")).status
            for path in (f"{ASKED}&{CALL}", f"/v1/calls/next?format=twiml&{BUSY}")
        ]
    assert (statuses, services.calls) == ([422, 404], [])


async def test_a_get_of_next_or_events_without_a_format_asks_for_a_call_of_that_name() -> None:
    async with running_api() as api:
        for name in ("next", "events"):
            assert (await api.send("GET", f"/v1/calls/{name}?call_id=c-1")).status == 404
            assert (await api.send("GET", f"/v1/calls/{name}?format=xml")).status == 422
    assert api.services.asked_for == ["next", "events"]
