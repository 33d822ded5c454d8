"""Named queries."""

import pytest

from storage.queries import parse_queries, query


def test_a_file_is_split_at_its_headers() -> None:
    text = "-- a file of queries\n\n-- name: one\nselect 1\n\n-- name: two\n-- a remark\nselect 2\n"
    assert parse_queries(text) == {"one": "select 1", "two": "-- a remark\nselect 2"}


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="one"):
        parse_queries("-- name: one\nselect 1\n-- name: one\nselect 2\n")


def test_sql_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="before the first"):
        parse_queries("select 1;\n-- name: one\nselect 1\n")


def test_a_part_stands_in_every_query_that_includes_it() -> None:
    text = "-- name: part\nfrom a\n-- name: one\nselect 1\n-- include: part\nlimit 1\n"
    assert parse_queries(text)["one"] == "select 1\nfrom a\nlimit 1"


def test_a_part_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no part 'nowhere'"):
        parse_queries("-- name: one\nselect 1\n-- include: nowhere\n")


def test_a_query_is_found_by_its_name() -> None:
    assert query("migrate_lock").startswith("select pg_advisory_xact_lock")


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="no_such_query"):
        query("no_such_query")
