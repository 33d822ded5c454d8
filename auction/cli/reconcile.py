"""``pingpost reconcile``: our calls against a buyer's call file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from auction.cli.group import CONFIG, DATA_DIR, run, settings_of

if TYPE_CHECKING:
    from rich.progress import Progress

    from auction.cli.buyer_file import BuyerFile
    from auction.cli.reconcile_view import Report
    from auction.domain.tie_out import ListedCall, SoldCall
    from auction.stores import Store
    from config.marketplace import Marketplace
    from config.settings import Settings
    from storage.vault import CallerVault

OUR_COLUMNS = ("call_id", "caller_id", "start", "duration", "amount")
MAXIMUM_ROUTES = 2_000_000
_A_DAY_S = 86_400


class NotComparableError(click.ClickException):
    """There is nothing to compare: the file can't be read, or our calls can't."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Request:
    """What the operator asked for."""

    buyer: str
    path: Path
    columns: Mapping[str, str]
    zone: str | None
    time_format: str | None
    tolerance_s: Decimal
    start_tolerance: timedelta
    delimiter: str | None
    since: str | None
    until: str | None


@click.command("reconcile")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--buyer", required=True, help="The buyer's id.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=HEADER",
    help=f"Which column holds what; NAME is one of {', '.join(OUR_COLUMNS)}. "
    "Usual headers are found without it.",
)
@click.option("--time-zone", help="Of times without a zone; the marketplace's unless given.")
@click.option("--time-format", help="For example '%d/%m/%Y %H:%M'; usual ones are known.")
@click.option(
    "--tolerance-s",
    type=click.FloatRange(0, _A_DAY_S),
    default=2.0,
    show_default=True,
    help="By how many seconds durations may differ.",
)
@click.option(
    "--start-tolerance-s",
    type=click.FloatRange(0, _A_DAY_S),
    default=60.0,
    show_default=True,
    help="By how many seconds starts may differ.",
)
@click.option("--delimiter", help="Between columns, or `tab`; found out unless given.")
@click.option("--from", "since", help="Compare calls from this time on.")
@click.option("--to", "until", help="Compare calls before this time.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write every row with its class and both sides to this CSV file.",
)
@click.option("--show-numbers", is_flag=True, help="Do not mask callers' numbers in --output.")
@CONFIG
@DATA_DIR
@click.pass_context
def reconcile_command(
    context: click.Context,
    file: Path,
    buyer: str,
    columns: tuple[str, ...],
    time_zone: str | None,
    time_format: str | None,
    tolerance_s: float,
    start_tolerance_s: float,
    delimiter: str | None,
    since: str | None,
    until: str | None,
    output: Path | None,
    data_dir: Path | None,
    *,
    show_numbers: bool,
) -> None:
    """Compare our records of a buyer's calls with FILE, the buyer's own list as CSV.

    Calls match by call id where FILE has ours, else by the caller's number and the nearest start.
    The buyer's duration is compared with our connected time. The exit code is 0 when all matches,
    1 when there are differences or rows that can't be read, 2 when nothing can be compared.
    """
    from auction.cli.buyer_file import BuyerFileError
    from auction.cli.reconcile_view import show, show_notes, write_rows
    from auction.ports import StorageUnavailableError

    if output is not None and output.exists() and output.samefile(file):
        raise click.BadParameter("is the buyer's file itself", param_hint="--output")
    request = Request(
        buyer=buyer,
        path=file,
        columns=_columns(columns),
        zone=time_zone,
        time_format=time_format,
        tolerance_s=Decimal(str(tolerance_s)),
        start_tolerance=timedelta(seconds=start_tolerance_s),
        delimiter=_delimiter(delimiter),
        since=since,
        until=until,
    )
    try:
        report = run(_reconcile(settings_of(context, data_dir=data_dir), request))
    except BuyerFileError as error:
        raise NotComparableError(f"{file}: {error}") from None
    except StorageUnavailableError as error:
        raise NotComparableError(f"the database can't be used: {error}") from None
    show_notes(report.file)
    show(report)
    if output is not None:
        write_rows(output, report.rows, show_numbers=show_numbers)
    if not report.agrees:
        raise SystemExit(1)


def _columns(given: tuple[str, ...]) -> dict[str, str]:
    columns = {}
    for each in given:
        ours, equals, header = each.partition("=")
        if not (equals and header.strip()) or ours not in OUR_COLUMNS:
            message = f"{each!r} is no NAME=HEADER with a NAME of {', '.join(OUR_COLUMNS)}"
            raise click.BadParameter(message, param_hint="--column")
        columns[ours] = header.strip()
    return columns


def _delimiter(given: str | None) -> str | None:
    if given is None or (len(given) == 1 and given not in '"\r\n'):
        return given
    if given in {"tab", "\\t"}:
        return "\t"
    raise click.BadParameter("must be one character, or `tab`", param_hint="--delimiter")


async def _reconcile(settings: "Settings", request: Request) -> "Report":
    from auction.cli.buyer_file import BuyerFileError
    from auction.cli.progress import progress
    from auction.cli.reconcile_view import Report, show_notes
    from auction.domain.reconcile import reconcile
    from auction.domain.tie_out import Tolerance
    from auction.stores import open_store

    async with open_store(settings) as store:
        marketplace = await _marketplace(store)
        with progress() as shown:
            file, since, until = _read(request, marketplace, shown)
            if since is None or until is None:
                show_notes(file)
                raise BuyerFileError("no row tells a start: give --from and --to, or mend the file")
            has_ids = "call_id" in file.columns
            ours = await _ours(store, request, since, until, shown, has_ids=has_ids)
    if not ours and request.buyer not in {buyer.id for buyer in marketplace.buyers}:
        raise BuyerFileError(f"there is no buyer {request.buyer!r} and no call of one")
    by_caller = "caller_id" in file.columns and "start" in file.columns
    tolerance = Tolerance(request.tolerance_s, request.start_tolerance, by_caller)
    rows = reconcile(ours, _due(file.calls, since, until), tolerance)
    return Report(request.buyer, marketplace.currency, since, until, file, rows)


async def _marketplace(store: "Store") -> "Marketplace":
    from config.marketplace import read_marketplace
    from storage import catalogue
    from storage.catalogue_items import join

    items = (await catalogue.load(store.database)).items
    return read_marketplace(join(items) if items else {})


def _read(
    request: Request, marketplace: "Marketplace", shown: "Progress"
) -> tuple["BuyerFile", datetime | None, datetime | None]:
    """The file and the time to compare: what was asked for, else what the file covers."""
    from auction.cli.buyer_cells import Times
    from auction.cli.buyer_file import Reading, read_buyer_file
    from config.values import DEFAULT_COUNTRY

    zone = _zone(request.zone or marketplace.time_zone)
    since, until = (_moment(text, zone) for text in (request.since, request.until))
    how = Reading(
        Times(zone, request.time_format), DEFAULT_COUNTRY, request.columns, request.delimiter
    )
    bar = shown.add_task("Their calls", total=request.path.stat().st_size)
    file = read_buyer_file(request.path, how, lambda count: shown.advance(bar, count))
    starts = [call.start for call in file.calls if call.start is not None]
    if starts:
        since = since or min(starts) - request.start_tolerance
        # The last moment itself is still compared.
        until = until or max(starts) + request.start_tolerance + timedelta(microseconds=1)
    return file, since, until


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        message = f"{name!r} is no time zone such as America/New_York"
        raise click.BadParameter(message, param_hint="--time-zone") from None


def _moment(text: str | None, zone: ZoneInfo) -> datetime | None:
    from auction.cli.buyer_cells import CellError, Times

    try:
        return None if text is None else Times(zone).read(text)
    except CellError:
        message = f"{text!r} is no time such as 2026-11-20T08:00"
        raise click.BadParameter(message, param_hint="--from and --to") from None


async def _ours(
    store: "Store",
    request: Request,
    since: datetime,
    until: datetime,
    shown: "Progress",
    *,
    has_ids: bool,
) -> list["SoldCall"]:
    """Our calls in that time, and as far beyond it as a match may reach."""
    from auction.cli.buyer_file import BuyerFileError
    from auction.domain.ids import BuyerId
    from storage.tie_out import LONGEST_SEARCH, read_sold

    bar = shown.add_task("Our calls", total=None)
    # A file may tell when a call came in where we tell when it was sent: ids match all the same.
    reach = max(request.start_tolerance, LONGEST_SEARCH) if has_ids else request.start_tolerance
    vault = await _vault(store)
    ours: list[SoldCall] = []
    pages = read_sold(store.database, vault, BuyerId(request.buyer), since - reach, until + reach)
    async for page in pages:
        ours += (call if since <= call.start < until else replace(call, due=False) for call in page)
        shown.advance(bar, len(page))
        if len(ours) > MAXIMUM_ROUTES:
            raise BuyerFileError(f"more than {MAXIMUM_ROUTES:,} calls: narrow --from and --to")
    return ours


async def _vault(store: "Store") -> "CallerVault":
    from config.secret_box import SecretBox
    from storage.keys import ServiceKey, service_key
    from storage.vault import CallerVault

    box = SecretBox(await service_key(store.database, store.box, ServiceKey.CALL_DATA))
    identity = await service_key(store.database, store.box, ServiceKey.CALLER_IDENTITY)
    return CallerVault(box, identity)


def _due(calls: list["ListedCall"], since: datetime, until: datetime) -> list["ListedCall"]:
    return [
        call if call.start is None or since <= call.start < until else replace(call, due=False)
        for call in calls
    ]
