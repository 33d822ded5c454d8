"""``pingpost replay``: a recorded call decided once more."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from auction.cli.group import CONFIG, DATA_DIR, run, settings_of
from auction.domain.ids import CampaignId, OfferId

if TYPE_CHECKING:
    from auction.domain.call import Call
    from auction.domain.call_record import CallRecord
    from auction.domain.replay_record import Changes, Recorded
    from auction.domain.terms import Catalogue
    from config.settings import Settings
    from storage.database import Database

Value = TypeVar("Value")

LONGEST_TIMEOUT_MS = 30_000


class NotReplayableError(click.ClickException):
    """There is nothing to decide again."""

    exit_code = 2


@click.command("replay")
@click.argument("call_id")
@click.option(
    "--minimum-bid",
    "minimum_bids",
    multiple=True,
    metavar="OFFER=AMOUNT",
    help="What if the offer's minimum bid had been this? Several times for several offers.",
)
@click.option(
    "--timeout",
    "timeouts_ms",
    multiple=True,
    metavar="OFFER=MS",
    help="What if the offer had had so many milliseconds for its bid?",
)
@click.option("--disable", "disabled", multiple=True, metavar="OFFER", help="What if it had slept?")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@CONFIG
@DATA_DIR
@click.pass_context
def replay_command(
    context: click.Context,
    call_id: str,
    minimum_bids: tuple[str, ...],
    timeouts_ms: tuple[str, ...],
    disabled: tuple[str, ...],
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Decide the recorded call CALL_ID again, from what was recorded, and compare.

    Nobody is asked and nothing is changed. Without further options the exit code is 0 when ranking,
    winner and price are the same and 1 when they are not. With any, the call is decided under those
    terms and shown beside the record. 2: the call is unknown or can't be decided again.
    """
    from auction.cli.replay_view import show, to_json
    from auction.domain.replay import replay
    from auction.domain.replay_record import Changes

    changes = Changes(
        minimum_bids=_pairs(minimum_bids, "--minimum-bid", _amount),
        timeouts_ms=_pairs(timeouts_ms, "--timeout", _milliseconds),
        disabled=frozenset(map(OfferId, disabled)),
    )
    recorded = run(_load(settings_of(context, data_dir=data_dir), call_id))
    _check(changes, recorded)
    replayed = replay(recorded, changes)
    if as_json:
        click.echo(to_json(recorded, replayed, changes))
    else:
        show(recorded, replayed, changes)
    if not changes.any and not replayed.same:
        raise SystemExit(1)


def _pairs(
    given: tuple[str, ...], option: str, read: Callable[[str], Value | None]
) -> dict[OfferId, Value]:
    values: dict[OfferId, Value] = {}
    for each in given:
        offer, equals, text = each.partition("=")
        value = read(text)
        if not (offer and equals) or value is None:
            message = f"{each!r} is no {_WANTED[option]}"
            raise click.BadParameter(message, param_hint=option)
        values[OfferId(offer)] = value
    return values


_WANTED = {
    "--minimum-bid": "offer=amount, for example acme-auto=12.50",
    "--timeout": f"offer=milliseconds (1 to {LONGEST_TIMEOUT_MS}), for example acme-auto=300",
}


def _amount(text: str) -> Decimal | None:
    from auction.domain.decimals import read_decimal
    from auction.domain.money import parse_amount

    return Decimal(0) if read_decimal(text) == 0 else parse_amount(text)


def _milliseconds(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_TIMEOUT_MS))):
        return None
    return int(text) if 1 <= int(text) <= LONGEST_TIMEOUT_MS else None


def _check(changes: "Changes", recorded: "Recorded") -> None:
    """Refuse terms that could not make a difference: offers that are not there or do not bid."""
    offers = {} if recorded.campaign is None else {o.id: o for o in recorded.campaign.offers}
    for option, named in (
        ("--minimum-bid", changes.minimum_bids),
        ("--timeout", changes.timeouts_ms),
        ("--disable", changes.disabled),
    ):
        for offer in named:
            if offer not in offers:
                message = f"{offer!r} is no offer of the call's campaign"
                raise click.BadParameter(message, param_hint=option)
            if option != "--disable" and not offers[offer].auctioned:
                raise click.BadParameter(f"{offer!r} does not bid", param_hint=option)


async def _load(settings: "Settings", call_id: str) -> "Recorded":
    from auction.domain.ids import CallId
    from auction.stores import open_store
    from config.secret_box import SecretBox
    from storage.keys import ServiceKey, service_key
    from storage.records import CallRecords
    from storage.vault import CallerVault

    async with open_store(settings) as store:
        box = SecretBox(await service_key(store.database, store.box, ServiceKey.CALL_DATA))
        identity = await service_key(store.database, store.box, ServiceKey.CALLER_IDENTITY)
        records = CallRecords(store.database, CallerVault(box, identity))
        record = await records.get_call(CallId(call_id))
        if record is None:
            raise NotReplayableError(f"there is no call {call_id!r}")
        if record.trace is None:
            raise NotReplayableError(f"call {call_id!r} has no trace: it is not decided yet")
        catalogue = await _catalogue(store.database, record.trace)
    return read_decision(
        record.call,
        record.campaign,
        catalogue,
        record.trace,
        price=_first_price(record),
        reason=record.reason,
    )


async def _catalogue(database: "Database", stored: bytes) -> "Catalogue":
    """The terms that the decision with this trace was made under."""
    from auction.web.explanation import read_trace
    from buyers.terms import build_catalogue
    from config.marketplace import read_marketplace
    from storage import catalogue
    from storage.catalogue_items import join

    revision = read_trace(stored).revision
    try:
        items = (await catalogue.load(database, revision)).items if revision else ()
    except LookupError as error:
        raise NotReplayableError(f"{error}: the call can't be decided again") from None
    return build_catalogue(read_marketplace(join(items) if items else {}), revision)


def read_decision(
    call: "Call",
    campaign: "CampaignId | None",
    catalogue: "Catalogue",
    stored: bytes,
    *,
    price: Decimal | None = None,
    reason: str | None = None,
) -> "Recorded":
    """A first decision as replays take it; ``stored`` is its trace, ``price`` what was agreed."""
    from auction.domain.replay_record import Recorded
    from auction.engine.outcomes import Outcomes
    from auction.web.explanation import read_trace, with_quality

    answers, trace = Outcomes.restored(stored).all(), read_trace(stored)
    return Recorded(
        call=with_quality(call, trace),
        campaign=None if campaign is None else catalogue.campaigns.get(campaign),
        currency=catalogue.currency,
        default_country=catalogue.default_country,
        trace=trace,
        quotes={each.offer: each.quote for each in answers if each.quote is not None},
        price=price,
        reason=reason,
    )


def _first_price(record: "CallRecord") -> Decimal | None:
    return next((each.price for each in record.attempts if each.attempt == 1), None)
