"""What storage raises beside ``auction.ports.StorageUnavailableError``."""


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL can't be prepared, started or reached; the text says why."""


class RevisionConflictError(Exception):
    """The marketplace was changed by someone else since it was read; nothing was changed."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"the marketplace is at revision {actual}, not at {expected}")
        self.expected = expected
        self.actual = actual


class SecretKeyError(Exception):
    """SECRET_KEY is not the one that this database or data directory was made with."""


class PoolerError(Exception):
    """A connection pooler is in between that was not reckoned with; the text says what to do."""


class SchemaMismatchError(Exception):
    """The database's schema was not made by this code; nothing was changed."""
