"""Who calls and what they may do."""

import base64
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from aiohttp import hdrs, web

from auction.web import problems
from auction.web.problems import CallerMistakeError
from auction.web.services import Grant, Tokens

_LONGEST_TOKEN: Final = 512
_LONGEST_CREDENTIALS: Final = 2048
_REALM: Final = 'Bearer realm="pingpost"'


class Scope(StrEnum):
    """What a token may be good for."""

    CALLS = "calls"
    READ = "read"
    ADMIN = "admin"
    PII = "pii"
    POSTBACK = "postback"


MAY_REPORT: Final[frozenset[str]] = frozenset({Scope.CALLS, Scope.ADMIN})
MAY_READ: Final[frozenset[str]] = frozenset({Scope.READ, Scope.CALLS, Scope.ADMIN})
MAY_VIEW: Final[frozenset[str]] = frozenset({Scope.READ, Scope.ADMIN})
MAY_MANAGE: Final[frozenset[str]] = frozenset({Scope.ADMIN})


async def unbound(request: web.Request, tokens: Tokens, allowed: frozenset[str]) -> Grant:
    """The grant of a token that is bound to nobody; raises as ``granted`` does."""
    grant = await granted(request, tokens, allowed)
    if grant.buyer is not None or grant.source is not None:
        raise CallerMistakeError(
            problems.FORBIDDEN, "A token that is bound to a buyer or a source can't do this."
        )
    return grant


async def granted(request: web.Request, tokens: Tokens, allowed: frozenset[str]) -> Grant:
    """The caller's grant, its request counted against its rate limit.

    Raises CallerMistakeError: 401 for no known token, 403 out of scope, 429.
    """
    grant = await known(request, tokens, allowed)
    refuse_too_many(tokens, grant)
    return grant


async def granted_to_manage(
    request: web.Request, tokens: Tokens, *, needed: frozenset[str] = frozenset({Scope.ADMIN})
) -> Grant:
    """The grant of an operator who has every scope ``needed`` and is bound to nobody.

    Raises CallerMistakeError: 401, 403, 429.
    """
    grant = await unbound(request, tokens, needed)
    if not needed <= grant.scopes:
        raise CallerMistakeError(
            problems.FORBIDDEN,
            f"A token with all of these scopes is needed: {', '.join(sorted(needed))}.",
        )
    return grant


async def granted_to_report(request: web.Request, tokens: Tokens) -> Grant:
    """The grant of a switch, or of who speaks for one: a call is never throttled.

    Raises CallerMistakeError: 401, 403.
    """
    grant = await known(request, tokens, MAY_REPORT)
    if grant.buyer is not None:
        raise CallerMistakeError(
            problems.FORBIDDEN, "A token that is bound to a buyer can't do this."
        )
    return grant


async def known(request: web.Request, tokens: Tokens, allowed: frozenset[str]) -> Grant:
    """The caller's grant, whatever its rate limit. Raises CallerMistakeError: 401, 403."""
    token = presented_token(request.headers)
    grant = None if token is None else await tokens.lookup(token)
    if grant is None:
        raise _unauthorized(presented=token is not None)
    if allowed.isdisjoint(grant.scopes):
        raise _out_of_scope(allowed)
    return grant


def refuse_too_many(tokens: Tokens, grant: Grant) -> None:
    """Count a request against the token's rate limit. Raises CallerMistakeError: 429."""
    wait_s = tokens.wait_s(grant)
    if wait_s > 0:
        raise CallerMistakeError(
            problems.RATE_LIMITED,
            "This token has a rate limit; ask again later.",
            headers={hdrs.RETRY_AFTER: str(math.ceil(wait_s))},
        )


def presented_token(headers: Mapping[str, str]) -> str | None:
    """The token of ``Authorization: Bearer`` or ``X-API-Key``, else the password of Basic.

    None when there is none of use.
    """
    scheme, _, credentials = headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    scheme = scheme.lower()
    token = credentials if scheme == "bearer" else headers.get("X-API-Key", "")
    if not token and scheme == "basic":
        token = basic_password(credentials)
    token = token.strip()
    usable = 0 < len(token) <= _LONGEST_TOKEN and token.isascii()
    return token if usable else None


def basic_password(credentials: str) -> str:
    """The password of ``Authorization: Basic``, for any user; empty when it can't be read."""
    return basic_user(credentials).partition(":")[2]


def basic_user(credentials: str) -> str:
    """``user:password`` of ``Authorization: Basic``; empty when it can't be read."""
    if len(credentials) > _LONGEST_CREDENTIALS:
        return ""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode()
    except ValueError:
        return ""


def _unauthorized(*, presented: bool) -> CallerMistakeError:
    challenge = f'{_REALM}, error="invalid_token"' if presented else _REALM
    return CallerMistakeError(
        problems.UNAUTHORIZED,
        "Send a token as Authorization: Bearer, as X-API-Key or as the password of Basic.",
        headers={hdrs.WWW_AUTHENTICATE: challenge},
    )


def _out_of_scope(allowed: frozenset[str]) -> CallerMistakeError:
    scopes = sorted(allowed)
    challenge = f'{_REALM}, error="insufficient_scope", scope="{" ".join(scopes)}"'
    return CallerMistakeError(
        problems.FORBIDDEN,
        f"A token with one of these scopes is needed: {', '.join(scopes)}.",
        headers={hdrs.WWW_AUTHENTICATE: challenge},
    )
