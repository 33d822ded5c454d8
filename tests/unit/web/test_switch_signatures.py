"""Signatures of Twilio, with the values of Twilio's own libraries, and of jambonz."""

import hmac
from dataclasses import replace

import pytest

from auction.web.formats.signatures import Signed, jambonz_signed, twilio_signed

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = (
    "CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212"
    "&Caller=%2B14158675309"
)
REQUEST = Signed(URL, FORM)
TOKEN = "12345"
GOOD = "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (URL, GOOD),
        (URL.replace(".com", ".com:1234"), GOOD),
        (URL.replace("https", "http").replace(".com", ".com:1234"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (URL.replace("https", "http"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    ],
    ids=["plain", "port removed", "http with a port", "port 443 added", "port 80 added"],
)
def test_what_twilio_signs_is_good(url: str, signature: str) -> None:
    assert twilio_signed(replace(REQUEST, url=url), signature, [TOKEN])


def test_repeated_fields_are_sorted_and_count_once() -> None:
    form = "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234"
    assert twilio_signed(replace(REQUEST, form=form), "IK+Dwps556ElfBT0I3Rgjkr1wJU=", [TOKEN])


def test_any_of_several_tokens_may_have_signed() -> None:
    assert twilio_signed(REQUEST, GOOD, ["other", TOKEN])


@pytest.mark.parametrize(
    ("request_came", "signature", "tokens"),
    [
        (REQUEST, "", [TOKEN]),
        (REQUEST, GOOD.lower(), [TOKEN]),
        (REQUEST, GOOD + "é", [TOKEN]),
        (REQUEST, GOOD + "\udcff", [TOKEN]),
        (replace(REQUEST, url=URL + "\udcff"), GOOD, [TOKEN]),
        (REQUEST, GOOD, ["12346"]),
        (REQUEST, GOOD, []),
        (replace(REQUEST, url=URL + "&x=1"), GOOD, [TOKEN]),
        (replace(REQUEST, url=URL.replace("mycompany", "other")), GOOD, [TOKEN]),
        (replace(REQUEST, form=FORM + "&x="), GOOD, [TOKEN]),
        (replace(REQUEST, form=FORM.replace("1234", "1235", 1)), GOOD, [TOKEN]),
        (replace(REQUEST, form=""), GOOD, [TOKEN]),
    ],
)
def test_anything_else_is_not(request_came: Signed, signature: str, tokens: list[str]) -> None:
    assert not twilio_signed(request_came, signature, tokens)


NOW = 1_795_888_800
BODY = b'{"call_sid":"e35d4edf","from":"+13105551234"}'


def signed(secret: str, body: bytes = BODY, at: int = NOW) -> str:
    """As ``_computeSignature`` of jambonz makes it."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, "sha256").hexdigest()


def test_what_jambonz_signs_is_good() -> None:
    header = f"t={NOW},v1={signed('wh_secret')}"
    assert jambonz_signed(BODY, header, ["wh_secret"], NOW + 2.5)
    assert jambonz_signed(BODY, header, ["other", "wh_secret"], NOW - 60)
    twice = f"t={NOW}, v1={signed('old')}, v1={signed('wh_secret')}"
    assert jambonz_signed(BODY, twice, ["wh_secret"], NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"v1={signed('wh_secret')}",
        f"t={NOW}",
        f"t=,v1={signed('wh_secret')}",
        f"t=now,v1={signed('wh_secret')}",
        f"t={NOW},t={NOW},v1={signed('wh_secret')}",
        f"t={NOW},v1={signed('other')}",
        f"t={NOW},v1={signed('wh_secret', BODY + b' ')}",
        f"t={NOW + 1},v1={signed('wh_secret')}",
        f"t={NOW},v0={signed('wh_secret')}",
        f"t={NOW},v1=é",
        f"t={NOW},v1=\udcff",
        f"t={NOW - 301},v1={signed('wh_secret', at=NOW - 301)}",
        f"t={NOW + 302},v1={signed('wh_secret', at=NOW + 302)}",
    ],
)
def test_what_jambonz_did_not_sign_just_now_is_not(header: str) -> None:
    assert not jambonz_signed(BODY, header, ["wh_secret"], NOW)


def test_without_secrets_nothing_is_good() -> None:
    assert not jambonz_signed(BODY, f"t={NOW},v1={signed('')}", [], NOW)
