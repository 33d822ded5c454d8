"""What follows from a route at once: attempt conversions, and what subscribers are told. No I/O."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from auction.domain.finishing import Finish
from auction.domain.ids import OwnerId
from auction.domain.lifecycle import CallState, Progress
from auction.domain.money import from_units, render
from auction.domain.plan import Candidate
from auction.domain.terms import (
    Cap,
    ConversionRule,
    Measure,
    PayoutRule,
    Period,
    Trigger,
    WebhookEvent,
)
from auction.domain.usage import Usage, window_at
from storage.accounts import Accounts
from storage.books import Books
from storage.call_facts import call_fact, conversion_facts
from storage.holds import Hold
from storage.outbox import Fact, Outbox
from storage.progress import CallRow
from storage.settling import Cause, settle

ACTOR: Final = "routing"

_TOLD: Final = (WebhookEvent.CALL_ROUTED, WebhookEvent.CALL_CONVERTED, WebhookEvent.CAP_REACHED)


@dataclass(frozen=True, slots=True)
class ReachedCap:
    """A cap of an owner without a unit left in the window that starts then (Unix seconds)."""

    owner: OwnerId
    measure: Measure
    period: Period
    limit: int
    window_start: int

    @property
    def key(self) -> tuple[OwnerId, str, str, int]:
        """Of what subscribers are told once."""
        return self.owner, self.measure.name.lower(), self.period.name.lower(), self.window_start

    @property
    def data(self) -> Mapping[str, str | int | None]:
        """What subscribers are told of it; the total's window has no start."""
        of_money = self.measure is Measure.REVENUE
        start = datetime.fromtimestamp(self.window_start, UTC).isoformat()
        return {
            "owner": self.owner,
            "measure": self.measure.name.lower(),
            "per": self.period.name.lower(),
            "limit": render(from_units(self.limit)) if of_money else self.limit,
            "window_start": None if self.period is Period.TOTAL else start.replace("+00:00", "Z"),
        }


@dataclass(slots=True)
class RoutingPass:
    """One transaction over routes that are stored: what was locked, and what has come of them.

    ``reached`` are the caps that may be to be told of, each with the fact to tell.
    """

    now: datetime
    books: Books
    accounts: Accounts
    outbox: Outbox
    facts: list[Fact] = field(default_factory=list)
    reached: dict[ReachedCap, Fact] = field(default_factory=dict)

    def take_all(self, routes: Iterable[tuple[CallRow, Candidate, Hold]]) -> None:
        """Book what routes earn, then see which caps have no unit left."""
        booked = [(call, won, self.take(call, hold)) for call, won, hold in routes]
        for call, won, hold in booked:
            if self.outbox.wanted(hold.campaign, hold.buyer, WebhookEvent.CAP_REACHED):
                self._look_at_caps(call, won, hold)

    def take(self, call: CallRow, hold: Hold) -> Hold:
        """The hold after what the route alone has earned, by the terms it was sold under."""
        self.facts.append(call_fact(WebhookEvent.CALL_ROUTED, call, hold, self.now))
        if not earns_by_attempt(hold.terms.rules, hold.terms.payouts):
            return hold
        progress = Progress(CallState.ROUTED, call.progress.started_at, hold.attempt)
        cause = Cause(self.now, ACTOR)
        settled = settle(hold, progress, self.accounts.of(call), cause, now=self.now)
        if settled.entries:
            self.books.put(settled.hold)
            self.accounts.take(call, settled.hold, settled.entries)
            self.facts.extend(conversion_facts(settled.entries, call, settled.hold))
        return settled.hold

    def _look_at_caps(self, call: CallRow, won: Candidate, hold: Hold) -> None:
        for reached in reached_caps(won, hold, self.books.usage):
            fact = call_fact(WebhookEvent.CAP_REACHED, call, hold, self.now)
            data = {**fact.data, **reached.data}
            self.reached.setdefault(reached, replace(fact, data=data))


def has_consequences(finish: Finish, outbox: Outbox) -> bool:
    """Whether storing a decision is not all: its route earns, or somebody is to be told of it.

    A late one is no route yet: what follows from it does when its switch fetches it.
    """
    won = finish.candidate
    if won is None or finish.late:
        return False
    if earns_by_attempt(won.conversions, won.payouts) and not finish.call.test:
        return True
    return outbox.wanted(finish.campaign, won.buyer, *_TOLD)


def earns_by_attempt(rules: Iterable[ConversionRule], payouts: Iterable[PayoutRule]) -> bool:
    """Whether a route alone earns anything under these."""
    return any(rule.trigger is Trigger.ATTEMPT for rule in rules) or any(
        rule.trigger is Trigger.ATTEMPT for rule in payouts
    )


def reached_caps(
    won: Candidate, hold: Hold, usage: Mapping[OwnerId, Usage]
) -> Iterator[ReachedCap]:
    """The caps that a route counts under and that have no unit left in its windows."""
    starts = dict(hold.terms.owners)
    for limits in won.owners:
        if limits.owner in starts:
            for cap in limits.caps:
                start = starts[limits.owner][cap.period]
                if won.units[cap.measure] > 0 and _is_full(
                    usage.get(limits.owner, Usage()), cap, start
                ):
                    yield ReachedCap(limits.owner, cap.measure, cap.period, cap.limit, start)


def _is_full(usage: Usage, cap: Cap, start: int) -> bool:
    window = window_at(usage.periods[cap.period], start)
    if window is None:
        return False
    return window.used[cap.measure] + window.pending[cap.measure] >= cap.limit
