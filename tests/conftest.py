"""Fixtures for every layer of tests."""

pytest_plugins = ["tests.postgres_fixtures"]
