"""Loading a script, with every fault at once and where it is."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from buyers.simulator.authentication import Auth
from buyers.simulator.models import BuyerScript, PingEndpoint, PostEndpoint, Script


class ScriptError(Exception):
    """A script that can't be played; ``faults`` lists each fault with its path."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        """``faults`` are lines such as ``buyers[0].ping.latency_ms: must be a number``."""
        super().__init__("\n".join(faults))
        self.faults = faults


def load_script(path: Path, environment: Mapping[str, str] | None = None) -> Script:
    """Read a YAML or JSON file. Raises ScriptError with every fault."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScriptError((f"{path.name}: {error}",)) from None
    return parse_script(document, environment)


def parse_script(document: object, environment: Mapping[str, str] | None = None) -> Script:
    """A script from plain data.

    ``{env: NAME}`` is looked up in ``environment``, by default the process's. Raises ScriptError
    with every fault.
    """
    faults = list(_clashes(document))
    context = {"environment": os.environ if environment is None else environment}
    try:
        script = Script.model_validate(document, context=context)
    except ValidationError as error:
        raise ScriptError((*_worded(error), *faults)) from None
    if faults:
        raise ScriptError(tuple(faults))
    return script


def changed(
    buyer: BuyerScript, change: object, environment: Mapping[str, str] | None = None
) -> BuyerScript:
    """A buyer with parts of ``ping``, ``post`` or ``auth`` replaced.

    What a change doesn't name stays. Names, addresses and paths can't change while the buyer
    listens. Raises ScriptError with every fault.
    """
    if not isinstance(change, dict) or not change.keys() <= {"ping", "post", "auth"}:
        raise ScriptError(("a change is a mapping with ping, post or auth",))
    context = {"environment": os.environ if environment is None else environment}
    try:
        parts = _Changes.model_validate(_merged(buyer, change), context=context)
    except ValidationError as error:
        raise ScriptError(_worded(error)) from None
    if (parts.ping.path, parts.post.path) != (buyer.ping.path, buyer.post.path):
        raise ScriptError(("a path can't change while the buyer listens",))
    return buyer.model_copy(
        update={"ping": parts.ping, "post": parts.post, "auth": parts.auth or buyer.auth}
    )


class _Changes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ping: PingEndpoint
    post: PostEndpoint
    auth: Auth | None = None


def _merged(buyer: BuyerScript, change: Mapping[str, object]) -> dict[str, object]:
    merged = dict(change)
    for key, endpoint in (("ping", buyer.ping), ("post", buyer.post)):
        wanted = change.get(key, {})
        if isinstance(wanted, dict):
            merged[key] = endpoint.model_dump(exclude_unset=True) | wanted
    return merged


def _worded(error: ValidationError) -> tuple[str, ...]:
    return tuple(
        f"{_path(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_input=False, include_url=False)
    )


_TAGS = frozenset({"none", "bearer", "api_key", "basic", "hmac"}) | {
    *("constant", "uniform", "normal", "lognormal", "exponential", "choice")
}


def _path(location: tuple[int | str, ...]) -> str:
    """``buyers[0].ping.latency_ms``; the names of union members, which pydantic adds, left out."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step not in _TAGS:
            text += f".{step}" if text else step
    return text or "script"


def _clashes(document: object) -> Iterator[str]:
    """Names used twice, and paths used twice on one address, whatever else is wrong."""
    buyers = document.get("buyers") if isinstance(document, dict) else None
    names: set[str] = set()
    endpoints: set[str] = set()
    for place, buyer in enumerate(buyers if isinstance(buyers, list) else ()):
        if not isinstance(buyer, dict):
            continue
        name = str(buyer.get("name"))
        if "name" in buyer and name in names:
            yield f"buyers[{place}].name: {name} is used twice"
        names.add(name)
        for key, default in (("ping", "/ping"), ("post", "/post")):
            endpoint = f"{_address(document, buyer, place)}{_path_of(buyer, key, default)}"
            if endpoint in endpoints:
                yield f"buyers[{place}].{key}.path: {endpoint} is used twice"
            endpoints.add(endpoint)


def _address(document: object, buyer: Mapping[str, object], place: int) -> str:
    shared_host = document.get("host", "127.0.0.1") if isinstance(document, dict) else None
    port = buyer.get("port", 0)
    return f"{buyer.get('host') or shared_host}:{port or f'(free port of buyer {place})'}"


def _path_of(buyer: Mapping[str, object], key: str, default: str) -> str:
    endpoint = buyer.get(key)
    return str(endpoint.get("path", default)) if isinstance(endpoint, dict) else default
