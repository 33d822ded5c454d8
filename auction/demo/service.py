"""What the demo needs of a running service."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class ServiceHandle(Protocol):
    """A service that is ready: base URLs without a trailing slash, a token for every scope."""

    @property
    def base_url(self) -> str:
        """Where switches ask."""

    @property
    def ops_url(self) -> str:
        """Where ``/metrics`` is."""

    @property
    def token(self) -> str:
        """A token that may do everything."""


@dataclass(frozen=True, slots=True)
class ServiceNeeds:
    """How the service is to be started: free ports, an embedded PostgreSQL in ``data_dir``.

    ``outbound_allow`` are the networks where the simulated buyers listen.
    """

    marketplace: Path
    data_dir: Path
    outbound_allow: str = "127.0.0.0/8"


StartService = Callable[[ServiceNeeds], AbstractAsyncContextManager[ServiceHandle]]
"""Starts a service; ready when entered, nothing of it is left when the context is over."""
