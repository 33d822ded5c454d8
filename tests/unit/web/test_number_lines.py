"""Numbers in bodies of any length."""

import pytest

from auction.web.number_lines import (
    LONGEST_LINE,
    LineForm,
    Lines,
    LineTooLongError,
    NumberReader,
)


def read(form: LineForm, *lines: str) -> tuple[list[str], list[int]]:
    """The numbers, and the lines that hold none."""
    reader = NumberReader(form, "US")
    numbers, faults = reader.read([line.encode() for line in lines], str.encode)
    return [number.decode() for number in numbers], [line for line, _ in faults]


def test_plain_lines_hold_a_number_each_in_any_shape() -> None:
    lines = ("+13105551234\r", "(310) 555-1235", "", "3105551236 ", "nobody", "+442071838750")
    assert read(LineForm.TEXT, *lines) == (
        ["+13105551234", "+13105551235", "+13105551236", "+442071838750"],
        [5],
    )


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (("name,Phone,since", "Ann,3105551234,2026", "Bob,,2026", "Cy"), [3, 4]),
        (("3105551234,Ann", "x,Bob"), [2]),
        (('"310-555-1234","a, b"', "who,Bob"), [2]),
        (("id;x", "3105551234"), [1]),
    ],
)
def test_csv_is_read_by_its_header_or_its_first_column(
    lines: tuple[str, ...], faults: list[int]
) -> None:
    assert read(LineForm.CSV, *lines) == (["+13105551234"], faults)


def test_json_lines_are_texts_or_objects_with_a_number() -> None:
    lines = ('"3105551234"', '{"number": "+13105551235", "why": 1}', "3105551236", "{", "[]")
    assert read(LineForm.NDJSON, *lines) == (["+13105551234", "+13105551235"], [3, 4, 5])


def test_lines_are_counted_over_all_parts_of_a_body() -> None:
    reader = NumberReader(LineForm.TEXT, "US")
    assert reader.read([b"3105551234", b"", b"x"], str.encode)[1][0][0] == 3
    assert reader.read([b"y"], str.encode)[1][0][0] == 4


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size_make_the_same_lines(size: int) -> None:
    body = b"\xef\xbb\xbfone\ntwo\r\n\nthree"
    lines = Lines()
    found = [
        line
        for start in range(0, len(body), size)
        for line in lines.feed(body[start : start + size])
    ]
    assert [*found, *lines.end()] == [b"one", b"two\r", b"", b"three"]
    assert lines.end() == []


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_a_line_without_end_is_refused(ending: bytes) -> None:
    lines = Lines()
    lines.feed(b"x" * LONGEST_LINE)
    with pytest.raises(LineTooLongError):
        lines.feed(b"x" + ending)
