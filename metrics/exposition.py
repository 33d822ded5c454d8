"""The Prometheus text of many families, written in slices so that a scrape stalls no call."""

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SLICE_SAMPLES = 250
"""About a millisecond of work."""


async def render(groups: Iterable[Iterable[Metric]]) -> bytes:
    """The text of all groups; a group is one metric in parts, each with other label values."""
    parts: list[bytes] = []
    for group in groups:
        head = b""
        for piece in _slices(group):
            text = generate_latest(_Single(piece))
            head, text = (head, text.removeprefix(head)) if head else (_head(text), text)
            parts.append(text)
            await asyncio.sleep(0)
    return b"".join(parts)


class _Single(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def _slices(group: Iterable[Metric]) -> Iterator[Metric]:
    piece: Metric | None = None
    for part in group:
        if piece is None:
            piece = _empty(part)
        piece.samples.extend(part.samples)
        if len(piece.samples) >= _SLICE_SAMPLES:
            yield piece
            piece = _empty(part)
    if piece is not None:
        yield piece


def _empty(family: Metric) -> Metric:
    return Metric(family.name, family.documentation, family.type)


def _head(text: bytes) -> bytes:
    """The HELP and TYPE lines that start a family's text."""
    help_line, type_line, _ = text.split(b"\n", 2)
    return help_line + b"\n" + type_line + b"\n"
