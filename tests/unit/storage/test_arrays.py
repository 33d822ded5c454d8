"""Array parameters in text form: read back by PostgreSQL in ``tests/postgres/test_arrays.py``."""

import pytest

from storage.arrays import array_text, text_columns


def test_no_rows_are_empty_columns() -> None:
    assert text_columns([], 2, 1) == ["{}", "{}", ()]


def test_columns_of_bytes_stay_as_they_are() -> None:
    assert text_columns([("a", 1, b"x"), ("b", None, b"y")], 2, 1) == [
        '{"a","b"}',
        "{1,null}",
        (b"x", b"y"),
    ]


def test_bytes_are_no_element_of_a_text() -> None:
    with pytest.raises(TypeError, match="bytes"):
        array_text([b"x"])
