"""From a call to a buyer's request, from its answer to a bid, from a switch's request to a call."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from auction.web.call_request import call_fingerprint, read_call_request
from benchmarks.micro.samples import GRANT, a_call, call_body
from benchmarks.micro.timing import Case, sync_case
from benchmarks.stack.marketplace import CAMPAIGN, MarketplaceOptions, make_marketplace
from buyers.offer_dialect import OfferDialect, compile_offer
from buyers.tokens import Occasion
from buyers.transport import RawAnswer
from config.marketplace import read_marketplace
from config.sealing import resolve_secret
from config.secret_box import SecretBox
from storage.vault import CallerVault

_NOW: Final = 1_790_000_000
_BODY: Final = {
    "id": "{{ ping_id }}",
    "zip": "{{ fields.zip_code | default: 00000 }}",
    "product": "{{ fields.vertical | map: {auto_insurance: AUTO} }}",
    "caller": "{{ caller_area_code }}",
    "floor": "{{ minimum_bid }}",
}
_XML_BODY: Final = (
    "<ping><id>{{ ping_id }}</id><zip>{{ fields.zip_code | default: 00000 }}</zip>"
    "<caller>{{ caller_area_code }}</caller><floor>{{ minimum_bid }}</floor></ping>"
)
_JSON_RESPONSE: Final = {
    "accepted": {"at": "result.status", "equals": ["MATCHED"]},
    "amount": {"at": "result.offer.price"},
    "bid_id": {"at": "result.offer.id"},
    "expires_in_s": {"at": "result.offer.ttl"},
}
_XML_RESPONSE: Final = {
    "format": "xml",
    "accepted": {"at": "/bid/status", "equals": ["MATCHED"]},
    "amount": {"at": "/bid/price"},
    "bid_id": {"at": "/bid/id"},
}
_PLAIN_ANSWER: Final = (
    b'{"accepted": true, "bid": "52.00", "bid_id": "b-1", "expires_in_s": 60, '
    b'"minimum_duration_s": 90}'
)
_JSON_ANSWER: Final = (
    b'{"result": {"status": "MATCHED", "offer": {"price": 52.5, "id": "b-1", "ttl": 60}}}'
)
_XML_ANSWER: Final = b"<bid><status>MATCHED</status><price>52.50</price><id>b-1</id></bid>"


def template_cases() -> list[Case]:
    """A ping's whole request, but for the host and the length."""
    hmac = {"auth": {"type": "hmac", "secret": "a secret that signs"}}
    return [
        _preparing("template.plain", "request in the plain dialect", {}),
        _preparing("template.json", "request from a JSON template", {"body": _BODY}),
        _preparing("template.form", "request from a form", {"format": "form", "body": _BODY}),
        _preparing(
            "template.xml", "request from an XML template", {"format": "xml", "body": _XML_BODY}
        ),
        _preparing("template.hmac", "request in the plain dialect, signed", hmac),
    ]


def mapping_cases() -> list[Case]:
    """A ping's answer, read."""
    return [
        _reading("mapping.plain", "answer in the plain dialect", {}, _PLAIN_ANSWER),
        _reading("mapping.json", "answer by JMESPath", {"response": _JSON_RESPONSE}, _JSON_ANSWER),
        _reading("mapping.xml", "answer by XPath", {"response": _XML_RESPONSE}, _XML_ANSWER),
    ]


def parsing_cases() -> list[Case]:
    """A switch's request, step by step and as a whole."""
    body = call_body()
    content: dict[str, Any] = orjson.loads(body)
    request = read_call_request(content)
    received_at = datetime.now(UTC)
    keyed = CallerVault(SecretBox(b"k" * 32), b"identity").fingerprint

    def whole() -> object:
        read = orjson.loads(body)
        asked = read_call_request(read)
        return asked.to_call(GRANT, received_at, "US"), call_fingerprint(read, keyed)

    return [
        sync_case("parsing.json", "orjson", lambda: orjson.loads(body)),
        sync_case("parsing.validate", "pydantic", lambda: read_call_request(content)),
        sync_case(
            "parsing.call", "call, normalised", lambda: request.to_call(GRANT, received_at, "US")
        ),
        sync_case("parsing.whole", "all of it, and the fingerprint", whole),
    ]


def a_dialect(ping: Mapping[str, Any], port: int = 9000, scheme: str = "http") -> OfferDialect:
    """The first buyer's offer, compiled, with these keys in its ``ping``."""
    content = make_marketplace(MarketplaceOptions(ports=(port,), scheme=scheme))
    content["buyers"][0]["offers"][0]["ping_post"]["ping"].update(ping)
    offer = read_marketplace(content).buyers[0].offers[0]
    return compile_offer(offer, lambda secret: resolve_secret(secret, None, {}), lambda _: b"key")


def an_occasion() -> Occasion:
    """A ping to that offer."""
    call = a_call()
    return Occasion(call, CAMPAIGN, "asked-0", "ping-1", call.fields, "35.00", 1500)


def _preparing(name: str, title: str, ping: Mapping[str, Any]) -> Case:
    endpoint, occasion = a_dialect(ping).ping.endpoint, an_occasion()
    return sync_case(name, title, lambda: endpoint.prepare(occasion, _NOW))


def _reading(name: str, title: str, ping: Mapping[str, Any], body: bytes) -> Case:
    answers, answer = a_dialect(ping).ping.answers, RawAnswer(200, body)
    return sync_case(name, title, lambda: answers.read(answer))
