"""What a buyer reports of a call that was sold to it, and what that does to its conversion.

What a buyer reports is always booked, and counted in full: more than the call held of the caps is
flagged, never refused. A conversion that was withdrawn comes back by a report alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Final

from auction.domain.conversions import Booked, Entry, EntryKind, Side
from auction.domain.decimals import read_decimal
from auction.domain.ids import BuyerId, CallId
from auction.domain.money import parse_amount, render, to_units
from auction.domain.returns import Claim
from auction.domain.terms import ConversionRule, Measure, Trigger
from auction.domain.usage import Change

RESTORED: Final = "restored"
"""The note of an entry that brings a withdrawn conversion back."""

_NOTHING: Final = Decimal(0)
_SMALLEST: Final = Decimal("0.0001")


class NamedBy(Enum):
    """By which of its names a buyer means a call."""

    CALL_ID = "call_id"
    PING_ID = "ping_id"
    POST_ID = "post_id"
    BID_ID = "bid_id"


class ReportStatus(Enum):
    """What a buyer says of a conversion: it happened, or it does not count (any more)."""

    CONVERTED = "converted"
    WITHDRAWN = "withdrawn"


STATUS_WORDS: Final[dict[str, ReportStatus]] = {
    "converted": ReportStatus.CONVERTED,
    "approved": ReportStatus.CONVERTED,
    "withdrawn": ReportStatus.WITHDRAWN,
    "rejected": ReportStatus.WITHDRAWN,
    "returned": ReportStatus.WITHDRAWN,
}
"""The words that buyers have for it."""


@dataclass(frozen=True, slots=True)
class Postback:
    """One report as it came in.

    ``buyer`` None: whoever the call was sold to. ``event_id`` None: derived from the content.
    ``amount`` None: what was agreed. ``at`` None: now. ``note``: the status in the buyer's word.
    ``fingerprint`` tells a repeat from other content. ``claim``: it is a return, which is refused
    where there is nothing to give back.
    """

    named_by: NamedBy
    name: str
    buyer: BuyerId | None
    status: ReportStatus
    fingerprint: bytes
    event_id: str | None = None
    amount: Decimal | None = None
    at: datetime | None = None
    note: str | None = None
    claim: Claim | None = None


class ReportResult(Enum):
    """What a report did to the buyer's side of a call."""

    BOOKED = "booked"
    AMENDED = "amended"
    WITHDRAWN = "withdrawn"
    UNCHANGED = "unchanged"
    REPEATED = "repeated"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Reported:
    """A report that was taken. ``amount`` is what the buyer's side comes to now.

    ``flagged``: it went beyond what the call held of the caps.
    """

    call_id: CallId
    event_id: str
    result: ReportResult
    amount: Decimal
    currency: str | None
    flagged: bool = False


class Refused(Enum):
    """Why a report was not taken: nothing of it is kept.

    ``passed_on``: the attempt failed, and a later one has the call. ``nothing_sold``: no conversion
    stands that could be given back.
    """

    UNKNOWN_CALL = "unknown_call"
    OTHER_CONTENT = "other_content"
    OTHER_BUYER = "other_buyer"
    NOTHING_SOLD = "nothing_sold"
    PASSED_ON = "passed_on"


PostbackResult = Reported | Refused


@dataclass(frozen=True, slots=True)
class Sale:
    """An attempt that was sold: under which rules and price, and its share of the counters.

    ``billed`` False: a buyer that never pays. ``passed_on``: it failed, and the call went on to a
    later attempt; nothing converts here any more.
    """

    call_id: CallId
    attempt: int
    buyer: BuyerId
    price: Decimal
    rules: Sequence[ConversionRule]
    holding: Change
    billed: bool = True
    passed_on: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What is said of a sale, all of it known; see ``Postback`` and ``Entry``."""

    event_id: str
    status: ReportStatus
    amount: Decimal | None
    at: datetime
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What a report does: the entry to write, if any, and the sale's share of the counters."""

    result: ReportResult
    holding: Change
    entry: Entry | None = None


def reported_amount(text: str) -> Decimal | None:
    """The amount that a buyer reports, read as all amounts are but with 0 allowed; else None."""
    amount = parse_amount(text)
    if amount is not None:
        return amount
    figure = text.strip().removeprefix("$")
    number = read_decimal(figure) if figure[:1].isdigit() or figure[:1] == "." else None
    return _NOTHING if number is not None and number < _SMALLEST else None


def derived_event_id(
    call_id: CallId, buyer: BuyerId, status: ReportStatus, amount: Decimal | None
) -> str:
    """The event id of a report that names none: the same for the same content."""
    said = "" if amount is None else render(amount)
    content = "\0".join((call_id, buyer, status.value, said))
    return f"content-{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def agreed_amount(rules: Sequence[ConversionRule], price: Decimal) -> Decimal:
    """What a report without an amount comes to: the first postback rule's amount, or the price."""
    for rule in rules:
        if rule.trigger is Trigger.POSTBACK:
            return price if rule.amount is None else rule.amount
    return price


def judge_report(report: Report, sale: Sale, booked: Booked | None) -> Judged | Refused:
    """What a buyer's report makes of the buyer's side of a call, which is ``booked`` by now.

    A conversion that stands at another attempt than the sale's is another buyer's. A report without
    an amount confirms what stands.
    """
    if not sale.billed:
        return Judged(ReportResult.IGNORED, sale.holding)
    if report.status is ReportStatus.WITHDRAWN:
        return _withdrawal(report, sale, booked)
    if booked is None or booked.withdrawn:
        return Refused.PASSED_ON if sale.passed_on else _conversion(report, sale, booked)
    if booked.attempt != sale.attempt:
        return Refused.OTHER_BUYER
    if report.amount is None or report.amount == booked.amount:
        return Judged(ReportResult.UNCHANGED, sale.holding)
    return _step(report, sale, EntryKind.AMENDED, report.amount, booked)


def _withdrawal(report: Report, sale: Sale, booked: Booked | None) -> Judged:
    if booked is None or booked.attempt != sale.attempt:
        return Judged(ReportResult.IGNORED, sale.holding)
    if booked.withdrawn:
        return Judged(ReportResult.UNCHANGED, sale.holding)
    return _step(report, sale, EntryKind.WITHDRAWN, _NOTHING, booked)


def _conversion(report: Report, sale: Sale, booked: Booked | None) -> Judged:
    """A conversion where none stands: the first of the call, or one after it was withdrawn."""
    said = report.amount
    amount = agreed_amount(sale.rules, sale.price) if said is None else said
    if booked is None:
        return _step(report, sale, EntryKind.BOOKED, amount)
    before = booked if booked.attempt == sale.attempt else None
    return _step(replace(report, note=RESTORED), sale, EntryKind.AMENDED, amount, before)


def _step(
    report: Report, sale: Sale, kind: EntryKind, amount: Decimal, before: Booked | None = None
) -> Judged:
    """The buyer's side moves. ``before``: what its attempt came to until now."""
    after = _counted(sale.holding, None if kind is EntryKind.WITHDRAWN else amount)
    entry = Entry(
        call_id=sale.call_id,
        side=Side.BUYER,
        attempt=sale.attempt,
        kind=kind,
        trigger=Trigger.POSTBACK if before is None else before.trigger,
        amount=amount,
        change=amount if before is None else amount - before.amount,
        at=report.at,
        actor=f"buyer:{sale.buyer}",
        event_id=report.event_id,
        note=report.note,
        beyond_hold=_goes_beyond(sale.holding, after),
    )
    return Judged(ReportResult(kind.value), after, entry)


def _counted(holding: Change, amount: Decimal | None) -> Change:
    """What a sale takes of the counters by its buyer's word, nothing of which is pending then."""
    calls, answered, _, _ = holding.used
    conversions, revenue = (0, 0) if amount is None else (1, to_units(amount))
    used = (calls, answered, conversions, revenue)
    return Change(holding.live, used, (0, holding.pending[Measure.ANSWERED], 0, 0))


def _goes_beyond(before: Change, after: Change) -> bool:
    """Whether a sale takes more of the counters than it held of them."""
    return any(
        after.used[measure] > before.used[measure] + before.pending[measure] for measure in _SETTLED
    )


_SETTLED: Final = (Measure.CONVERSIONS, Measure.REVENUE)
