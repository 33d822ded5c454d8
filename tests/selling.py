"""Simulated buyers with the marketplace file of theirs, and what services on one database share."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from config.secret_box import new_key


@asynccontextmanager
async def a_market(
    folder: Path, script: Mapping[str, Any], marketplace: str, **values: object
) -> AsyncIterator[tuple[SimulatedBuyers, Path]]:
    """Buyers on free ports, and the file.

    ``marketplace``: its text; a buyer's name in braces stands for its URL, others for ``values``.
    """
    async with SimulatedBuyers(parse_script(script), free_ports=True) as buyers:
        path = folder / "marketplace.yaml"
        path.write_text(marketplace.format(**buyers.urls, **values), encoding="utf-8")
        yield buyers, path


def on(dsn: str, **settings: str) -> dict[str, str]:
    """The environment of services that share this database, and with it a key."""
    return {"PINGPOST_DSN": dsn, "PINGPOST_SECRET_KEY": new_key(), **settings}
