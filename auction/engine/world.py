"""What the engine needs from the world."""

from dataclasses import dataclass, field

from auction.ports import (
    AtEase,
    Clock,
    Forecasts,
    Ids,
    Ledger,
    Load,
    NothingKnown,
    Recorder,
    UsageView,
)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a decision."""

    ledger: Ledger
    usage: UsageView
    clock: Clock
    ids: Ids
    recorder: Recorder
    load: Load = field(default_factory=AtEase)
    forecasts: Forecasts = field(default_factory=NothingKnown)
