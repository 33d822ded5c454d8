"""What the engine needs from the world."""

from dataclasses import dataclass, field

from auction.ports import AtEase, Clock, Ids, Ledger, Load, NoOdds, OddsSource, Recorder, UsageView


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a decision."""

    ledger: Ledger
    usage: UsageView
    clock: Clock
    ids: Ids
    recorder: Recorder
    load: Load = field(default_factory=AtEase)
    odds: OddsSource = field(default_factory=NoOdds)
