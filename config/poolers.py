"""Connection poolers that may stand between the service and PostgreSQL."""

from enum import StrEnum


class Pooler(StrEnum):
    """How a pooler such as PgBouncer lends its server connections."""

    NONE = "none"
    """There is none: a connection is one to the server."""

    SESSION = "session"
    """One server connection for as long as ours is open."""

    TRANSACTION = "transaction"
    """Another server connection for each transaction: nothing may be left in the session."""
