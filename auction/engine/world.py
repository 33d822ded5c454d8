"""What the engine needs from the world."""

from dataclasses import dataclass

from auction.ports import Clock, Ids, Ledger, Recorder, UsageView


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a decision."""

    ledger: Ledger
    usage: UsageView
    clock: Clock
    ids: Ids
    recorder: Recorder
