"""How many requests may be out at once, so that a subscriber that hangs holds up nobody else."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from auction.webhooks.hooks import Hook, Key, Webhooks
from storage.deliveries import Plan, PutOff, Room

AT_ONCE: Final = 16
"""Requests out in this process."""

PER_WEBHOOK: Final = 4
"""Of them to one webhook; one alone while its last request failed."""

GONE: Final = "the webhook is gone"
GONE_AFTER_S: Final = 300.0
"""A webhook that is not known may be newer than our marketplace: only then its events are dead."""


class Lanes:
    """Counts what is out. Changes without awaiting anything."""

    def __init__(self, at_once: int = AT_ONCE, per_webhook: int = PER_WEBHOOK) -> None:
        self._free = at_once
        self._per_webhook = per_webhook
        self._out: Counter[Key] = Counter()
        self._failing: set[Key] = set()
        self._turn = 0

    def take(self, key: Key) -> None:
        """A request is out."""
        self._free -= 1
        self._out[key] += 1

    def give_back(self, key: Key, *, delivered: bool) -> None:
        """It is not any more."""
        self._free += 1
        self._out[key] -= 1
        if not self._out[key]:
            del self._out[key]
        if delivered:
            self._failing.discard(key)
        else:
            self._failing.add(key)

    def plan(self, due: Sequence[Key], hooks: Webhooks) -> Plan:
        """What to claim for webhooks that something is due for; another goes first each time."""
        self._turn += 1
        first = self._turn % len(due)
        self._failing.intersection_update(hooks.usable)
        free = self._free
        rooms: list[Room] = []
        put_off: list[PutOff] = []
        for key in (*due[first:], *due[:first]):
            hook = hooks.usable.get(key)
            if hook is None:
                put_off.append(_put_off(key, hooks))
                continue
            lanes = min(free, self._limit(key) - self._out[key])
            if lanes > 0:
                batched = hook.every_s is not None
                rooms.append(_batch(key, hook) if batched else Room(key, lanes))
                free -= 1 if batched else lanes
        return Plan(rooms, put_off)

    def _limit(self, key: Key) -> int:
        return 1 if key in self._failing else self._per_webhook


def _put_off(key: Key, hooks: Webhooks) -> PutOff:
    why = hooks.unusable.get(key)
    return PutOff(key, GONE, GONE_AFTER_S) if why is None else PutOff(key, why)


def _batch(key: Key, hook: Hook) -> Room:
    return Room(key, hook.most, hook.every_s)


@dataclass(frozen=True, slots=True)
class Turn:
    """One look at what is due, with the webhooks in force."""

    lanes: Lanes
    hooks: Webhooks

    def batches(self, due: Sequence[Key]) -> Sequence[Room]:
        """See ``storage.deliveries.Planner``."""
        known = [(key, hook) for key in due if (hook := self.hooks.usable.get(key)) is not None]
        return [_batch(key, hook) for key, hook in known if hook.every_s is not None]

    def plan(self, due: Sequence[Key]) -> Plan:
        """See ``storage.deliveries.Planner``."""
        return self.lanes.plan(due, self.hooks)
