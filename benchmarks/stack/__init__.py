"""The processes of a run: PostgreSQL, buyers, the service; started, watched, measured, ended."""

from benchmarks.stack.parts import (
    Buyers,
    Database,
    Service,
    ServiceOptions,
    running_buyers,
    running_database,
    running_service,
)
from benchmarks.stack.process import ManagedProcess
from benchmarks.stack.stack import Stack, StackOptions, running_stack

__all__ = [
    "Buyers",
    "Database",
    "ManagedProcess",
    "Service",
    "ServiceOptions",
    "Stack",
    "StackOptions",
    "running_buyers",
    "running_database",
    "running_service",
    "running_stack",
]
