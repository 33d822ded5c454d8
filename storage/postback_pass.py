"""A buyer's report judged on locked rows. No I/O here."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from auction.domain.conversions import Booked, Entry, Side
from auction.domain.money import render
from auction.domain.postbacks import (
    Judged,
    Postback,
    PostbackResult,
    Refused,
    Report,
    Reported,
    ReportResult,
    ReportStatus,
    Sale,
    judge_report,
)
from auction.domain.returns import clawed_back
from auction.domain.terms import Measure
from storage.accounts import Accounts
from storage.books import Books
from storage.call_facts import conversion_facts
from storage.holds import Hold, HoldState
from storage.outbox import Fact
from storage.progress import CallRow, paid_by
from storage.settling import Cause, attempt_progress, marked, source_entry

_NOTHING: Final = Decimal(0)
_ROUTED: Final = frozenset({HoldState.ROUTED, HoldState.ANSWERED, HoldState.ENDED, HoldState.LOST})


@dataclass(frozen=True, slots=True)
class Known:
    """A report that came before under the same event id. ``flagged``: see ``Reported``."""

    fingerprint: bytes
    flagged: bool


@dataclass(slots=True)
class Hearing:
    """One report and all that was locked for it, as changed since.

    ``hold`` is the attempt that it is about. ``moved``: the call's route is to be stored.
    """

    postback: Postback
    event_id: str
    now: datetime
    call: CallRow
    hold: Hold
    books: Books
    accounts: Accounts
    known: Known | None
    facts: list[Fact] = field(default_factory=list)
    result: ReportResult = ReportResult.IGNORED
    moved: bool = False

    def hear(self) -> PostbackResult:
        """Judge the report and move the books; nothing is stored yet."""
        if self.known is not None:
            if self.known.fingerprint != self.postback.fingerprint:
                return Refused.OTHER_CONTENT
            return self._reported(ReportResult.REPEATED, flagged=self.known.flagged)
        if self.call.test:
            claimed = self.postback.claim is not None
            return Refused.NOTHING_SOLD if claimed else self._reported(ReportResult.IGNORED)
        judged = judge_report(self._report(), self._sale(), self._booked(Side.BUYER))
        if isinstance(judged, Refused):
            return judged
        if self.postback.claim is not None and judged.entry is None:
            return Refused.NOTHING_SOLD
        self._take(judged)
        entry = judged.entry
        return self._reported(judged.result, flagged=entry is not None and entry.beyond_hold)

    def _reported(self, result: ReportResult, *, flagged: bool = False) -> Reported:
        self.result = result
        booked = self._booked(Side.BUYER)
        return Reported(
            self.call.call_id,
            self.event_id,
            result,
            _NOTHING if booked is None else booked.amount,
            self.call.currency,
            flagged,
        )

    def _booked(self, side: Side) -> Booked | None:
        return self.accounts.of(self.call).booked.get(side)

    def _sale(self) -> Sale:
        hold = self.hold
        later = (each for each in self.books.holds_of(hold.call_id) if each.attempt > hold.attempt)
        return Sale(
            hold.call_id,
            hold.attempt,
            hold.buyer,
            hold.price,
            hold.terms.rules,
            hold.holding,
            billed=hold.terms.units[Measure.CONVERSIONS] > 0,
            passed_on=any(each.state in _ROUTED for each in later),
        )

    def _report(self) -> Report:
        """No report happens before its call came in, or in the future."""
        at = max(self.postback.at or self.now, self.call.progress.started_at)
        return Report(
            self.event_id,
            self.postback.status,
            self.postback.amount,
            min(at, self.now),
            self.postback.note,
        )

    def _take(self, judged: Judged) -> None:
        if judged.entry is not None:
            sweep_at = self.hold.sweep_from(judged.holding, self.hold.lease_until)
            self.hold = replace(self.hold, holding=judged.holding, sweep_at=sweep_at)
            self.hold = self._book(self.hold, judged.entry)
            paid = paid_by(self.call, self.hold, [judged.entry])
            self.moved, self.call = paid.route != self.call.route, paid
        if judged.result is not ReportResult.IGNORED:
            self._pay_source()
        claim = self.postback.claim
        if claim is not None and claim.claws_back and judged.entry is not None:
            self._claw_back(judged.entry)

    def _claw_back(self, credit: Entry) -> None:
        entry = clawed_back(self.call.call_id, self._booked(Side.SOURCE), credit)
        paid = None if entry is None else self.books.hold(self.call.call_id, entry.attempt)
        if entry is not None and paid is not None:
            self._book(paid, entry)

    def brought_down(self, side: Side) -> Decimal:
        """By how much the report has lowered a side."""
        changes = [entry.change for entry in self.accounts.entries if entry.side is side]
        return -sum(changes, _NOTHING)

    def _pay_source(self) -> None:
        report = self._report()
        payout = source_entry(
            self.hold,
            attempt_progress(self.hold, self.call.progress).facts,
            self.accounts.of(self.call),
            Cause(report.at, f"buyer:{self.hold.buyer}", self.event_id, report.note),
            restores=report.status is ReportStatus.CONVERTED,
        )
        paid = None if payout is None else self.books.hold(self.call.call_id, payout.attempt)
        if payout is not None and paid is not None:
            self._book(paid, payout)

    def _book(self, hold: Hold, entry: Entry) -> Hold:
        before = self._booked(entry.side)
        hold = marked(hold, entry)
        self.books.put(hold)
        self.accounts.take(self.call, hold, [entry])
        [fact] = conversion_facts([entry], self.call, hold)
        self.facts.append(replace(fact, data={**fact.data, **_told(entry, before)}))
        return hold


def _told(entry: Entry, before: Booked | None) -> dict[str, str | None]:
    """What subscribers learn of an entry that a report made, beside its side and amount."""
    return {
        "previous_amount": None if before is None else render(before.amount),
        "event_id": entry.event_id,
        "reason": entry.note,
    }
