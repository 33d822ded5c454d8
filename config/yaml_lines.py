"""Finding the lines of a YAML file that faults are about; only read when there are any."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import yaml

from config.faults import Fault, Step
from config.yaml_file import events_of, line_of


def with_lines(text: str, faults: Iterable[Fault]) -> list[Fault]:
    """The faults with the line of the nearest place that the YAML text has."""
    found = list(faults)
    wanted = {fault.steps[:end] for fault in found for end in range(len(fault.steps) + 1)}
    lines: dict[tuple[Step, ...], int] = {}
    try:
        for steps, line in _places(text, wanted):
            lines.setdefault(steps, line)
    except yaml.YAMLError:
        return found
    return [fault if fault.line else replace(fault, line=_nearest(fault, lines)) for fault in found]


def _nearest(fault: Fault, lines: Mapping[tuple[Step, ...], int]) -> int | None:
    prefixes = (fault.steps[:end] for end in range(len(fault.steps), 0, -1))
    return next((lines[steps] for steps in prefixes if steps in lines), None)


def _places(text: str, wanted: set[tuple[Step, ...]]) -> Iterator[tuple[tuple[Step, ...], int]]:
    events = events_of(text)
    next(events)
    next(events)
    yield from _node_places(next(events), events, (), wanted)


def _node_places(
    event: yaml.Event,
    events: Iterator[yaml.Event],
    steps: tuple[Step, ...],
    wanted: set[tuple[Step, ...]],
) -> Iterator[tuple[tuple[Step, ...], int]]:
    for step, first, value in _children(event, events):
        below = (*steps, step)
        if below not in wanted:
            _skip(value, events)
            continue
        line = line_of(first)
        if line is not None:
            yield below, line
        yield from _node_places(value, events, below, wanted)


def _children(
    event: yaml.Event, events: Iterator[yaml.Event]
) -> Iterator[tuple[Step, yaml.Event, yaml.Event]]:
    """Each child's step, the event that it starts on the line of, and its value's first event."""
    if isinstance(event, yaml.MappingStartEvent):
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            yield key.value if isinstance(key, yaml.ScalarEvent) else "", key, next(events)
    elif isinstance(event, yaml.SequenceStartEvent):
        index = 0
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            yield index, item, item
            index += 1


def _skip(event: yaml.Event, events: Iterator[yaml.Event]) -> None:
    depth = int(isinstance(event, yaml.CollectionStartEvent))
    while depth:
        event = next(events)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
