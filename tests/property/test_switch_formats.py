"""Whatever a buyer's destination or any other text holds, every format says that and no more."""

import re
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as Tree

import orjson
from hypothesis import given
from hypothesis import strategies as st

from auction.domain.bids import resolve_destination
from auction.web.formats.decision import Decision, read_decision
from auction.web.formats.dial_strings import in_dial_string
from auction.web.formats.headers import HEADERS, decision_headers
from auction.web.formats.links import Links
from auction.web.formats.parameters import read_given
from auction.web.formats.table import FORMATS, FormatName

BY_NAME = {each.name: each for each in FORMATS}
LINKS = Links(base="", origin="http://127.0.0.1:8080", form="twiml", key="k" * 24)
NASTY = st.sampled_from(
    [
        *('"', "'", "<", ">", "&", "&amp;", "]]>", "<!--", "=", "%26", "%", "+", ";", "#", "\\"),
        *("\r\nX-Evil: 1", "\n", "\0", "\x1b", "\u2028", "\ufffe", "é", "😀", " ", ",", "|"),
        *("${hangup}", "$${x}", "{a=b}", "[a=b]", "^^", ":_:", "\\$", "`id`", "$(id)", "()"),
        *("</Sip></Dial><Hangup/>", '"/><action application="system" data="id', "&SIP/evil"),
    ]
)
TEXTS = st.lists(st.one_of(NASTY, st.text(max_size=8)), max_size=6).map("".join)
FIELDS = ("call_id", "offer", "buyer", "reason", "currency")


def sendable(text: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in text)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """A route whose every text is anything at all."""
    text = TEXTS.filter(sendable)
    values = {name: draw(text) for name in FIELDS}
    answer: dict[str, Any] = {
        **values,
        "action": "route",
        "routed_by": "auction",
        "attempt": draw(st.integers(1, 1000)),
        "destination": {
            "uri": draw(st.sampled_from(["sip:", "tel:", ""])) + draw(text),
            "dial_timeout_s": draw(st.integers(1, 600)),
            "send_digits": draw(st.one_of(st.none(), text)),
            "whisper": draw(st.one_of(st.none(), text)),
        },
        "price": "52.00",
        "minimum_duration_s": None,
        "expires_at": None,
        "elapsed_ms": 1.5,
    }
    return read_decision(orjson.dumps(answer))


def rendered(name: FormatName, decision: Decision, given: dict[str, Any] | None = None) -> bytes:
    return BY_NAME[name].render(decision, LINKS, given or {})


def writable(text: str | None) -> str:
    """What of a text XML can hold, after its reader has normalised white space."""
    kept = (
        each
        for each in text or ""
        if each in "\t\n\r" or (each >= " " and each not in "\ufffe\uffff")
    )
    return "".join(kept)


@given(decisions())
def test_a_hash_holds_the_texts_as_they_are(decision: Decision) -> None:
    pairs = [each.partition("=") for each in rendered(FormatName.KV, decision).decode().split("&")]
    told = {unquote(name): unquote(value) for name, _, value in pairs}
    assert decision.dial is not None
    assert len(pairs) == len(told) == len(decision.values) + 4
    assert told["destination"] == in_dial_string(decision.dial.uri)
    assert told["whisper"] == (decision.dial.whisper or "")
    assert {name: told[name] for name in FIELDS} == {name: decision.values[name] for name in FIELDS}


@given(decisions())
def test_json_holds_the_texts_as_they_are(decision: Decision) -> None:
    dial = decision.dial
    assert dial is not None
    document = orjson.loads(rendered(FormatName.RTJSON, decision))
    assert [each["uri"] for each in document["routes"]] == [dial.uri]
    assert {name: document[name] for name in FIELDS} == {
        name: decision.values[name] for name in FIELDS
    }
    [verb] = orjson.loads(rendered(FormatName.JAMBONZ, decision))
    [target] = verb["target"]
    assert target == (
        {"type": "sip", "sipUri": dial.uri}
        if dial.number is None
        else {"type": "phone", "number": dial.number}
    )


@given(decisions())
def test_twiml_dials_one_place(decision: Decision) -> None:
    dial = decision.dial
    assert dial is not None
    response = Tree.fromstring(rendered(FormatName.TWIML, decision))
    assert [each.tag for each in response.iter()] == [
        "Response",
        "Dial",
        "Sip" if dial.number is None else "Number",
    ]
    [[noun]] = response
    assert (noun.text or "").replace("\r", "\n") == writable(
        dial.number if dial.number is not None else dial.uri
    ).replace("\r\n", "\n").replace("\r", "\n")
    known = {"sendDigits", "statusCallback", "statusCallbackEvent", "statusCallbackMethod"}
    assert set(noun.attrib) <= known


@given(decisions(), st.dictionaries(st.sampled_from(["Hunt-Context", "profile", "gateway"]), TEXTS))
def test_freeswitch_gets_the_actions_that_are_meant(
    decision: Decision, asked: dict[str, Any]
) -> None:
    assert decision.dial is not None
    document = Tree.fromstring(rendered(FormatName.FSXML, decision, asked))
    actions = [
        (each.attrib["application"], each.attrib["data"]) for each in document.iter("action")
    ]
    names = [name for name, _ in actions]
    assert names == [*["set"] * 6, *["export"] * 2, "bridge", "transfer"]
    [leg] = [data for name, data in actions if name == "bridge"]
    assert is_one_leg(leg)
    for _, data in actions:
        assert "${" not in data
        assert "\n" not in data


def is_one_leg(text: str) -> bool:
    """No separator, no variables, nothing quoted: one address for FreeSWITCH."""
    return not re.search(r"[,|{}<>'\"\\$^&\s\x00-\x1f\x7f]|:_:", text) and not text.startswith("[")


@given(TEXTS.filter(sendable))
def test_a_dial_string_has_one_place(text: str) -> None:
    told = in_dial_string(text)
    assert is_one_leg(told)
    assert told.isascii()
    assert in_dial_string(told) == told


@given(st.text(alphabet="abc123@.:;=&$'()*+-_~!%/[]", max_size=30))
def test_what_a_bid_may_name_is_dialled_at_the_same_place(text: str) -> None:
    found = resolve_destination(f"sip:{text}", None, frozenset(), "US")
    if found is not None and "%" not in found.uri:
        assert unquote(in_dial_string(found.uri)) == found.uri


@given(decisions())
def test_no_header_is_added(decision: Decision) -> None:
    headers = decision_headers(decision)
    assert set(headers) <= set(HEADERS)
    for value in headers.values():
        assert value.isascii()
        assert value.isprintable()


@given(st.binary(max_size=200), st.binary(max_size=200).map(lambda each: each.decode("latin-1")))
def test_any_form_and_query_can_be_read(body: bytes, query: str) -> None:
    if not body.strip().startswith(b"{"):
        given_ = read_given(query, body, "application/x-www-form-urlencoded")
        assert all(isinstance(each, str) for each in given_.both.values())
