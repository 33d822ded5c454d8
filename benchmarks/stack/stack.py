"""All parts of a run together, in a temporary folder that goes with them."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.stack.marketplace import Layout, MarketplaceOptions, make_marketplace
from benchmarks.stack.parts import (
    Buyers,
    Database,
    Service,
    ServiceOptions,
    running_buyers,
    running_database,
    running_service,
)
from benchmarks.stack.usage import Usage, usage_of


@dataclass(frozen=True, slots=True)
class StackOptions:
    """``buyers`` are asked on every call, of ``offers`` that are configured in all."""

    buyers: int = 10
    offers: int = 0
    layout: Layout = Layout.FILTERS
    delay_ms: float = 20.0
    transport: str | None = None
    service: ServiceOptions = field(default_factory=ServiceOptions)


@dataclass(frozen=True, slots=True)
class StackUsage:
    """What the three have used so far."""

    service: Usage
    database: Usage
    buyers: Usage


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that is running."""

    database: Database
    buyers: Buyers
    service: Service

    def usage(self) -> StackUsage:
        """CPU time and memory, each with its children."""
        parts = (self.service.process, self.database.process, self.buyers.process)
        return StackUsage(*(usage_of(part.pid) for part in parts))

    def check(self) -> None:
        """Raises BenchmarkError when one of them has ended."""
        for process in (self.database.process, self.buyers.process, self.service.process):
            process.check()


@asynccontextmanager
async def running_stack(options: StackOptions) -> AsyncIterator[Stack]:
    """PostgreSQL, buyers and the service, ready; all ended and the data gone at the end.

    Raises BenchmarkError when one of them can't be started.
    """
    with tempfile.TemporaryDirectory(prefix="pingpost-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with (
            running_database(folder) as database,
            running_buyers(folder, options.buyers, options.delay_ms) as buyers,
            running_service(
                folder, database, make_marketplace(_marketplace(options, buyers)), options.service
            ) as service,
        ):
            yield Stack(database, buyers, service)


def _marketplace(options: StackOptions, buyers: Buyers) -> MarketplaceOptions:
    return MarketplaceOptions(
        ports=buyers.ports,
        offers=options.offers,
        layout=options.layout,
        transport=options.transport,
    )
