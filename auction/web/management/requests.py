"""What management requests carry: bounded exact JSON, pages, filters."""

import asyncio
import re
from collections.abc import Mapping
from typing import Final, TypeVar

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from auction.redaction import mask_numbers
from auction.web import problems
from auction.web.bodies import MAX_BODY_BYTES, parse_object, read_bytes
from auction.web.faults import faults_of
from auction.web.management.fragments import fault_at
from auction.web.management.resources import Filter, FilterKind, Resource
from auction.web.paging import BAD_PLACE, known_only, read_limit
from auction.web.problems import CallerMistakeError, Fault, invalid
from auction.web.services import Grant
from config import faults as config_faults
from config.faults import ConfigError
from config.json_file import NotJsonError, load_json
from config.values import is_identifier
from storage.managing import Wanted

MAX_OBJECT_BYTES: Final = 1024 * 1024
"""An object may have lists of 10,000 entries."""

_PATCH_ONLY: Final = "goes with PATCH only: every other change is in force at once"
_NO_KEY: Final = "can't be given here: the request takes no body"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_FLAGS: Final = {"true": True, "false": False}
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
Query = TypeVar("Query", bound=BaseModel)

_PAGING: Final = frozenset({"limit", "after"})


async def read_exact_object(request: web.Request) -> Mapping[str, object]:
    """The request's JSON object, its numbers exact.

    Raises CallerMistakeError: 400, 408, 413 or 422.
    """
    body = await read_bytes(request, MAX_OBJECT_BYTES)
    try:
        content = await asyncio.to_thread(load_json, body.removeprefix(_BYTE_ORDER_MARK))
    except NotJsonError as error:
        detail = "; ".join(map(_told_of_body, error.faults))
        raise CallerMistakeError(problems.NOT_JSON, detail) from None
    except ConfigError as error:
        raise invalid(*(fault_at(each.steps, each.message) for each in error.faults)) from None
    if not isinstance(content, Mapping):
        raise invalid(Fault("", "must be a JSON object"))
    return content


def _told_of_body(fault: config_faults.Fault) -> str:
    where = "" if fault.line is None else f" (line {fault.line})"
    return f"The body {fault.message}{where}."


def known_now(request: web.Request) -> None:
    """Raises CallerMistakeError (422) for any query: what changes at once takes none."""
    if "effective_at" in request.query:
        raise invalid(Fault("effective_at", _PATCH_ONLY))
    known_only(request, frozenset())


async def refuse_body(request: web.Request) -> None:
    """Raises CallerMistakeError (400, 408, 413, 422) for a body that holds more than ``{}``."""
    body = await read_bytes(request, MAX_BODY_BYTES)
    if body and (content := parse_object(body)):
        raise invalid(*(Fault(mask_numbers(key[:64]), _NO_KEY) for key in list(content)[:10]))


def read_number(request: web.Request, name: str) -> int | None:
    """A whole number of the query. Raises CallerMistakeError: 422."""
    text = request.query.get(name)
    if text is None:
        return None
    if _NUMBER.fullmatch(text):
        return int(text)
    raise invalid(Fault(name, "must be a whole number"))


def read_wanted(request: web.Request, resource: Resource) -> Wanted:
    """Which objects a list is to show, one more than asked for. Raises CallerMistakeError: 422."""
    known_only(request, _PAGING | set(resource.filters))
    after = request.query.get("after")
    if after is not None and not is_identifier(after):
        raise invalid(Fault("after", BAD_PLACE))
    parent: str | None = None
    having: dict[str, object] = {}
    absent: dict[str, object] = {}
    for name, each in resource.filters.items():
        if (text := request.query.get(name)) is None:
            continue
        key = each.key or name
        if each.kind is FilterKind.PARENT:
            parent = read_text(name, text)
        else:
            having[key] = _read_filter(name, each, text)
            if each.default is not None:
                absent[key] = each.default
    return Wanted(after or "", read_limit(request.query) + 1, parent, having, absent)


def read_query(model: type[Query], query: MultiMapping[str]) -> Query:
    """The query as a model. Raises CallerMistakeError (422) with every fault at once."""
    twice = [Fault(name, "must be given once") for name in query if len(query.getall(name)) > 1]
    if twice:
        raise invalid(twice[0])
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None


def actor_of(grant: Grant) -> str:
    """Who changes something, for the revisions and the audit log."""
    return grant.name if grant.name == grant.id else f"{grant.name} ({grant.id})"


def read_text(name: str, text: str) -> str:
    """A text to compare with. Raises CallerMistakeError: 422."""
    if 0 < len(text) <= 200 and text.isprintable():
        return text
    raise invalid(Fault(name, "must be 1 to 200 characters, none of them a control character"))


def _read_filter(name: str, wanted: Filter, text: str) -> object:
    if wanted.kind is FilterKind.FLAG:
        if text not in _FLAGS:
            raise invalid(Fault(name, "must be true or false"))
        return _FLAGS[text]
    if wanted.kind is FilterKind.CHOICE and text not in wanted.choices:
        raise invalid(Fault(name, f"must be one of {', '.join(wanted.choices)}"))
    checked = read_text(name, text)
    return [checked] if wanted.kind is FilterKind.MEMBER else checked
