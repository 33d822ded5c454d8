"""The series of what one process knows for all: facts of the database, of workers, of labels.

Who shows them has read them, so no process counts for another.
"""

from collections.abc import Iterable

from metrics import names
from metrics.instruments import AnyFamily, counters, gauges, keep_apart


class CapacitySeries:
    """What is shown of an offer's limits and live calls; ``caps`` are label values."""

    __slots__ = ("caps", "families", "live", "ratios")

    def __init__(self, offer: str, caps: Iterable[str]) -> None:
        live = gauges(names.LIVE_CALLS, "Calls that hold a slot now.", "offer")
        ratio = gauges(names.CAP_USED_RATIO, "Used and pending share of a limit.", "offer", "cap")
        self.caps = frozenset(caps)
        self.live = live.labels(offer)
        self.ratios = {cap: ratio.labels(offer, cap) for cap in sorted(self.caps)}
        keep_apart(live, ratio)
        self.families: tuple[AnyFamily, ...] = (live, ratio)


class AlertSeries:
    """How many alerts of a rule are active."""

    __slots__ = ("families", "firing")

    def __init__(self, rule: str) -> None:
        firing = gauges(names.ALERTS_FIRING, "Alerts that fire, acknowledged or not.", "alert")
        self.firing = firing.labels(rule)
        keep_apart(firing)
        self.families: tuple[AnyFamily, ...] = (firing,)


class CheckSeries:
    """Whether one thing that the service needs to be ready is as it should be."""

    __slots__ = ("families", "passed")

    def __init__(self, check: str) -> None:
        ready = gauges(names.READY, "What /readyz looks at: 1 as it should be, 0 not.", "check")
        self.passed = ready.labels(check)
        keep_apart(ready)
        self.families: tuple[AnyFamily, ...] = (ready,)


class OversightSeries:
    """What the process of the ops port sees beside calls: facts of the database and of labels."""

    __slots__ = (
        "backlog",
        "backlog_seconds",
        "dead_letters",
        "families",
        "folded_campaigns",
        "folded_offers",
    )

    def __init__(self) -> None:
        dead = gauges(
            names.DEAD_LETTERS, "Deliveries of webhooks that were given up, 10,000 at most."
        )
        folded = gauges(
            names.FOLDED_LABELS, "Offers and campaigns that are shown together as other.", "label"
        )
        backlog = gauges(
            names.REPORT_BACKLOG, "What waits to be folded into the figures, 100,000 at most."
        )
        oldest = gauges(
            names.REPORT_BACKLOG_SECONDS, "How long the oldest that waits to be folded has waited."
        )
        self.backlog = backlog.labels()
        self.backlog_seconds = oldest.labels()
        self.dead_letters = dead.labels()
        self.folded_offers = folded.labels("offer")
        self.folded_campaigns = folded.labels("campaign")
        keep_apart(dead, folded, backlog, oldest)
        self.families: tuple[AnyFamily, ...] = (dead, folded, backlog, oldest)


class WorkerSeries:
    """What the parent of several workers knows of them; a process alone is one worker."""

    __slots__ = ("alive", "families", "restarts")

    def __init__(self) -> None:
        alive = gauges(names.WORKERS, "Processes that decide calls.")
        restarts = counters(names.WORKER_RESTARTS, "Workers that died and were replaced.")
        self.alive = alive.labels()
        self.restarts = restarts.labels()
        keep_apart(alive, restarts)
        self.alive.set(1)
        self.families: tuple[AnyFamily, ...] = (alive, restarts)
