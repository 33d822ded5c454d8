"""Commands on API tokens: made, listed, revoked."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auction.cli.group import CONFIG, DATA_DIR, run, settings_of

if TYPE_CHECKING:
    from auction.web.token_requests import TokenRequest
    from config.settings import Settings
    from storage.tokens import StoredToken, TokenGrant

_AT_ONCE = 1000


@click.group("token")
def token_group() -> None:
    """API tokens: made, listed and revoked. Only their hashes are stored.

    Running services follow within a second. The same by HTTP: /v1/tokens.
    """


@token_group.command("create")
@click.option("--name", required=True, help="Whose token it is, for people.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    help="calls, read, admin, pii or postback; give it several times or separated by commas.",
)
@click.option("--buyer", help="May see, and post back for, this buyer's calls only.")
@click.option("--source", help="May see this source's calls only.")
@click.option("--switch", help="The switch whose calls carry this token.")
@click.option("--per-second", type=float, help="A rate limit: so many requests in the long run.")
@click.option("--burst", type=int, help="So many at once; a second's worth unless given.")
@click.option("--expires-at", help="Good until then, for example 2027-06-30T00:00:00Z.")
@CONFIG
@DATA_DIR
@click.pass_context
def token_create_command(
    context: click.Context,
    name: str,
    scopes: tuple[str, ...],
    buyer: str | None,
    source: str | None,
    switch: str | None,
    per_second: float | None,
    burst: int | None,
    expires_at: str | None,
    data_dir: Path | None,
) -> None:
    """Print a new API token, once: only its hash is stored.

    \b
    A switch:                        --scope calls --switch ID
    Reports and dashboards:          --scope read
    An operator:                     --scope admin,pii
    A buyer that reports conversions
    (/v1/postbacks/conversion):      --scope postback --buyer ID
    A publisher's own reports:       --scope read --source ID

    Buyer and source must be in the marketplace. Calls are never throttled, whatever the rate
    limit. A token that is lost is revoked: `pingpost token revoke`.
    """
    settings = settings_of(context, data_dir=data_dir)
    wanted = [scope.strip() for given in scopes for scope in given.split(",") if scope.strip()]
    limit = {"per_second": per_second, "burst": burst}
    asked = _read(
        {
            "name": name,
            "scopes": wanted,
            "buyer": buyer,
            "source": source,
            "switch": switch,
            "rate_limit": None if per_second is None and burst is None else limit,
            "expires_at": expires_at,
        }
    )
    click.echo(run(_create(settings, asked)))


@token_group.command("list")
@click.option("--all", "whole", is_flag=True, help="Those that are revoked or expired, too.")
@CONFIG
@DATA_DIR
@click.pass_context
def token_list_command(context: click.Context, data_dir: Path | None, *, whole: bool) -> None:
    """List the tokens, oldest first: id, state, scopes, whom it is bound to, limits, name."""
    found = run(_list(settings_of(context, data_dir=data_dir)))
    now = datetime.now(UTC)
    for line in _lines(found, now, whole=whole):
        click.echo(line)


@token_group.command("revoke")
@click.argument("token_id")
@CONFIG
@DATA_DIR
@click.pass_context
def token_revoke_command(context: click.Context, token_id: str, data_dir: Path | None) -> None:
    """Make the token with this TOKEN_ID (tok_…, as `list` shows it) useless for good.

    Every service refuses it within a second. Its text is not needed, and can't be told anyway.
    """
    revoked = run(_revoke(settings_of(context, data_dir=data_dir), token_id))
    if revoked is None:
        raise click.ClickException("there is no token of this id: `pingpost token list` tells them")
    click.echo(f"{token_id}: {'revoked' if revoked else 'was revoked before'}")


def _read(body: dict[str, object]) -> "TokenRequest":
    from auction.web.problems import CallerMistakeError
    from auction.web.token_requests import read_token_request

    try:
        return read_token_request(body, datetime.now(UTC))
    except CallerMistakeError as error:
        raise _bad((fault.path, fault.message) for fault in error.faults) from None


def _bad(faults: Iterable[tuple[str, str]]) -> click.BadParameter:
    told = [f"{_option(path)} {message}" for path, message in faults]
    return click.BadParameter("; ".join(told))


def _option(path: str) -> str:
    name = re.split(r"[.[]", path.removeprefix("rate_limit."), maxsplit=1)[0].replace("_", "-")
    return "--scope" if name == "scopes" else f"--{name}"


async def _create(settings: "Settings", asked: "TokenRequest") -> str:
    from auction.stores import open_store
    from auction.token_keeping import TokenKeeping
    from storage.tokens import create_token

    async with open_store(settings) as store:
        if strangers := await TokenKeeping(store.database).strangers(asked):
            raise _bad((kind, "names nothing of the marketplace") for kind in strangers)
        created = await create_token(
            store.database,
            asked.name,
            asked.scopes,
            buyer=asked.buyer,
            source=asked.source,
            switch=asked.switch,
            rate_limit=asked.limit(),
            expires_at=asked.expires_at,
        )
    return created.token


async def _list(settings: "Settings") -> "list[StoredToken]":
    from auction.stores import open_store
    from storage.tokens import list_tokens

    async with open_store(settings) as store:
        found: list[StoredToken] = []
        while True:
            last = (found[-1].created_at, found[-1].grant.id) if found else None
            page = await list_tokens(store.database, _AT_ONCE, last)
            found += page
            if len(page) < _AT_ONCE:
                return found


async def _revoke(settings: "Settings", token_id: str) -> bool | None:
    """Whether it was good until now; None: there is none."""
    from auction.stores import open_store
    from storage.tokens import get_token, revoke_token

    async with open_store(settings) as store:
        if await revoke_token(store.database, token_id):
            return True
        return None if await get_token(store.database, token_id) is None else False


def _lines(found: "Iterable[StoredToken]", now: datetime, *, whole: bool) -> Iterator[str]:
    rows = [_cells(each, now) for each in found]
    shown = [row for row in rows if whole or row[1] == "good"]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _cells(token: "StoredToken", now: datetime) -> tuple[str, ...]:
    grant = token.grant
    return (
        grant.id,
        _state(token, now),
        ",".join(sorted(grant.scopes)),
        _bound(grant),
        _limits(grant),
        grant.name,
    )


def _state(token: "StoredToken", now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    expires = token.grant.expires_at
    return "expired" if expires is not None and expires <= now else "good"


def _bound(grant: "TokenGrant") -> str:
    named = {"buyer": grant.buyer, "source": grant.source, "switch": grant.switch}
    return " ".join(f"{kind} {name}" for kind, name in named.items() if name) or "-"


def _limits(grant: "TokenGrant") -> str:
    limit, expires = grant.rate_limit, grant.expires_at
    told = [] if limit is None else [f"{limit.per_second:g}/s, {limit.burst} at once"]
    if expires is not None:
        told.append(f"until {expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return ", ".join(told) or "-"
