"""What storage raises beside ``auction.ports.StorageUnavailableError``."""


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL can't be prepared, started or reached; the text says why."""


class SchemaMismatchError(Exception):
    """The database's schema was not made by this code; nothing was changed."""
