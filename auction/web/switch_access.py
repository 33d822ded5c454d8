"""Who may ask in a switch's own form: by token, by the switch's signature, by a call's own key."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from auction.web import problems
from auction.web.authentication import Scope, basic_user, granted_to_report, presented_token
from auction.web.formats.calls import CALL_ID
from auction.web.formats.links import opens
from auction.web.formats.parameters import FORM, KEY_LINK, Given, first_text
from auction.web.formats.signatures import (
    JAMBONZ_HEADER,
    TWILIO_HEADER,
    Signed,
    jambonz_signed,
    twilio_signed,
)
from auction.web.formats.table import Format, Signer
from auction.web.problems import CallerMistakeError
from auction.web.services import ApiServices, Grant, Signing

_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9.\-_]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?",
    re.ASCII,
)
"""A Host header that addresses may be made of: whoever asks gets them back."""


@dataclass(frozen=True, slots=True)
class SwitchGrant:
    """What a signature or a call's key allows: what a switch does."""

    id: str
    name: str
    switch: str | None = None
    scopes: frozenset[str] = frozenset({Scope.CALLS})
    buyer: str | None = None
    source: str | None = None


async def granted_to_switch(
    request: web.Request,
    services: ApiServices,
    form: Format,
    body: bytes,
    given: Given,
    *,
    with_key: bool,
) -> Grant:
    """The grant of a request's token, of its signature, or of the key of the call it names.

    A signature that is configured must be there and be good, whatever else comes with it.
    Raises CallerMistakeError: 401, 403.
    """
    signer = _checked_signer(request, services, form, body)
    if presented_token(request.headers) is not None:
        return await _by_token(request, services)
    if signer is not None:
        return SwitchGrant(f"signature:{signer}", signer.value, switch=signer.value)
    key, call_id = first_text(given.query, [KEY_LINK]), first_text(given.both, CALL_ID)
    if with_key and key and call_id and opens(key, call_id, services.fingerprint):
        return SwitchGrant("callback", "callback")
    return await _by_token(request, services)


def origin_of(request: web.Request, signing: Signing) -> str:
    """``https://host`` as the switch knows this service; empty when it named no usable host."""
    if signing.public_url:
        return signing.public_url
    host = request.headers.get(hdrs.HOST, "")
    # of no more effect than Host: whoever asks gets it back, and what is signed is signed with it
    behind_tls = request.headers.get(hdrs.X_FORWARDED_PROTO) == "https"
    scheme = "https" if behind_tls else request.scheme
    return f"{scheme}://{host}" if _HOST.fullmatch(host) else ""


async def _by_token(request: web.Request, services: ApiServices) -> Grant:
    try:
        return await granted_to_report(request, services.tokens)
    except CallerMistakeError as mistake:
        if mistake.kind is not problems.UNAUTHORIZED:
            raise
        # Twilio and libcurl send a password only when they are asked for one.
        asked_for: dict[str, str] = {hdrs.WWW_AUTHENTICATE: 'Basic realm="pingpost"'}
        raise CallerMistakeError(mistake.kind, mistake.detail, headers=asked_for) from None


def _checked_signer(
    request: web.Request, services: ApiServices, form: Format, body: bytes
) -> Signer | None:
    """Who has signed, None where no signature is asked for. Raises CallerMistakeError: 403."""
    signing = services.signing
    match form.signer:
        case Signer.TWILIO if signing.twilio:
            good = _by_twilio(request, signing, body, signing.twilio)
        case Signer.JAMBONZ if signing.jambonz:
            header = request.headers.get(JAMBONZ_HEADER, "")
            now_s = services.clock.now().timestamp()
            good = jambonz_signed(body, header, signing.jambonz, now_s)
        case _:
            return None
    if not good:
        raise CallerMistakeError(
            problems.FORBIDDEN, "The request has no good signature of the switch."
        )
    return form.signer


def _by_twilio(request: web.Request, signing: Signing, body: bytes, tokens: Sequence[str]) -> bool:
    origin = origin_of(request, signing)
    scheme, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    signed = Signed(
        url=origin + request.raw_path,
        form=body.decode(errors="replace") if request.content_type == FORM else "",
        user=basic_user(credentials) if scheme.lower() == "basic" else None,
    )
    signature = request.headers.get(TWILIO_HEADER, "")
    return bool(origin) and twilio_signed(signed, signature, tokens)
