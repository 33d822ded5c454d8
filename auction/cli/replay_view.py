"""A replay on a terminal, in a file, or as JSON. Callers' numbers are masked."""

import sys
from decimal import Decimal

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from auction.domain.money import render
from auction.domain.phone import mask
from auction.domain.reasons import WON, Reason
from auction.domain.replay import Line, Replayed, Verdict
from auction.domain.replay_record import Changes, Recorded
from auction.domain.trace import TraceEntry
from auction.web.explanation import render_entry

PLAIN_WIDTH = 110
"""Columns where there is no terminal that says how many it has."""

_NONE = "-"


def show(recorded: Recorded, replayed: Replayed, changes: Changes) -> None:
    """A table with the record beside the new decision, then what differs."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = Console(width=width, highlight=False)
    told = [line for line in replayed.lines if not _refused_by_terms(line)]
    console.print(_table(told))
    hidden = len(replayed.lines) - len(told)
    for text in (
        _hidden(hidden),
        _call(recorded),
        *_terms(changes),
        f"recorded: {_verdict(replayed.recorded, recorded.currency)}",
        f"again:    {_verdict(replayed.again, recorded.currency)}",
        f"price difference: {_signed(replayed.price_difference)} {recorded.currency}",
    ):
        if text:
            console.print(text, soft_wrap=True, markup=False)
    colour = "green" if replayed.same else "yellow" if changes.any else "red"
    console.print(f"[bold {colour}]{escape(_conclusion(replayed))}[/]", soft_wrap=True)


def to_json(recorded: Recorded, replayed: Replayed, changes: Changes) -> str:
    """The same as one JSON document: money as text."""
    document = {
        "call_id": recorded.call.call_id,
        "received_at": recorded.call.received_at.isoformat(),
        "revision": recorded.trace.revision,
        "currency": recorded.currency,
        "changes": _changes(changes),
        "same": replayed.same,
        "same_ranking": replayed.same_ranking,
        "same_winner": replayed.same_winner,
        "recorded": _verdict_json(replayed.recorded),
        "replayed": _verdict_json(replayed.again),
        "price_difference": _signed(replayed.price_difference),
        "offers": [
            {
                "offer": line.offer,
                "recorded": _entry_json(line.recorded),
                "replayed": _entry_json(line.again),
                "note": line.note,
            }
            for line in replayed.lines
        ],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _table(lines: list[Line]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0))
    for column, justify in (
        ("offer", "left"),
        ("recorded", "left"),
        ("bid", "right"),
        ("rank", "right"),
        ("ms", "right"),
        ("again", "left"),
        ("bid", "right"),
        ("rank", "right"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("note", overflow="fold")
    for line in sorted(lines, key=_by_fate):
        milliseconds = _NONE if line.recorded.ms is None else f"{line.recorded.ms:.1f}"
        cells = (*_cells(line.recorded), milliseconds, *_cells(line.again), line.note or "")
        table.add_row(escape(line.offer), *map(escape, cells))
    return table


def _cells(entry: TraceEntry) -> tuple[str, str, str]:
    outcome = WON if entry.reason is None else entry.reason.outcome
    rank = _NONE if entry.rank is None else str(entry.rank)
    return f"{outcome}, static" if entry.static else outcome, _money(entry.bid), rank


def _by_fate(line: Line) -> tuple[bool, bool, float, str]:
    """The winner of the new decision first, then by its ranking, then by the recorded one."""
    again = line.again
    ranks = (each.rank for each in (again, line.recorded) if each.rank is not None)
    taken = again.reason is None or again.static
    return not taken, again.rank is None, next(ranks, float("inf")), line.offer


def _refused_by_terms(line: Line) -> bool:
    """Whether the offer was, and still is, refused by terms that nobody has changed."""
    reason = line.recorded.reason
    return line.recorded == line.again and reason in _FIXED


_FIXED = frozenset(
    {
        Reason.PAUSED,
        Reason.CLOSED,
        Reason.HOLIDAY,
        Reason.MISSING_FIELD,
        Reason.FILTERED,
        Reason.NOT_FOR_SALE,
        Reason.SOURCE_BLOCKED,
    }
)


def _hidden(count: int) -> str:
    return f"{count} more refused by their own terms, then and now" if count else ""


def _call(recorded: Recorded) -> str:
    call = recorded.call
    caller = mask(call.caller.number) if call.caller.number else "a withheld caller"
    arrived = f"{call.received_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"call {call.call_id} from {caller}, {arrived}, revision {recorded.trace.revision}"


def _terms(changes: Changes) -> list[str]:
    terms = [
        *(f"minimum bid of {o} {_money(bid)}" for o, bid in changes.minimum_bids.items()),
        *(f"timeout of {offer} {ms} ms" for offer, ms in changes.timeouts_ms.items()),
        *(f"{offer} disabled" for offer in sorted(changes.disabled)),
    ]
    return [f"what if: {', '.join(terms)}"] if terms else []


def _verdict(verdict: Verdict, currency: str) -> str:
    ranking = " > ".join(verdict.ranking) or "no bids"
    if verdict.offer is None or verdict.routed_by is None:
        return f"no route ({verdict.reason}); {ranking}"
    price = f"{_money(verdict.price)} {currency}"
    return f"{verdict.offer} ({verdict.routed_by.value}) at {price}; {ranking}"


def _conclusion(replayed: Replayed) -> str:
    ranking = "the same" if replayed.same_ranking else "another"
    winner = "the same" if replayed.same_winner else "another"
    return f"{ranking} ranking, {winner} winner and price".capitalize()


def _changes(changes: Changes) -> dict[str, object]:
    return {
        "minimum_bids": {offer: render(bid) for offer, bid in changes.minimum_bids.items()},
        "timeouts_ms": dict(changes.timeouts_ms),
        "disabled": sorted(changes.disabled),
    }


def _verdict_json(verdict: Verdict) -> dict[str, object]:
    return {
        "action": "no_route" if verdict.offer is None else "route",
        "offer": verdict.offer,
        "routed_by": None if verdict.routed_by is None else verdict.routed_by.value,
        "price": None if verdict.price is None else render(verdict.price),
        "reason": verdict.reason,
        "ranking": list(verdict.ranking),
    }


def _entry_json(entry: TraceEntry) -> dict[str, object]:
    shown = render_entry(entry, unmasked=False)
    return {name: value for name, value in shown.items() if name != "offer"}


def _signed(amount: Decimal) -> str:
    return f"{'-' if amount < 0 else '+'}{render(abs(amount))}"


def _money(amount: Decimal | None) -> str:
    return _NONE if amount is None else render(amount)
