"""The management API: every kind of object of the marketplace, by one table (``resources``)."""
