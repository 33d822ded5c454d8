"""A buyer's call file, however it was saved."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from auction.cli import buyer_file
from auction.cli.buyer_cells import Times
from auction.cli.buyer_file import BuyerFile, BuyerFileError, Reading, read_buyer_file
from auction.domain.tie_out import ListedCall
from auction.web.cdr_formats import CSV_COLUMNS

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
ROW = "3105551234,11/20/2026 12:00:00,2:00,$52.00"
HEADER = "ANI,Call Start,Duration,Payout"
CALL = ListedCall(2, None, "+13105551234", "3105551234", NOON, Decimal(120), Decimal(52))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.csv"


def read(path: Path, content: str | bytes | None = None, **how: Any) -> BuyerFile:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_buyer_file(path, Reading(Times(ZoneInfo("America/New_York")), "US", **how))


def lines(*rows: str, header: str = HEADER) -> str:
    return "\n".join((header, *rows)) + "\n"


def test_usual_headers_are_known(path: Path) -> None:
    found = read(path, lines(ROW))
    assert found.calls == [CALL]
    assert found.columns == {
        "caller_id": "ANI",
        "start": "Call Start",
        "duration": "Duration",
        "amount": "Payout",
    }
    assert (found.bad, found.bad_count) == ([], 0)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(path: Path, delimiter: str) -> None:
    assert read(path, lines(ROW).replace(",", delimiter)).calls == [CALL]


def test_a_delimiter_that_is_given_is_taken(path: Path) -> None:
    content = lines(ROW).replace(",", "^")
    assert read(path, content, delimiter="^").calls == [CALL]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_usual_encodings_and_line_ends_are_read(path: Path, encoding: str) -> None:
    content = lines(ROW + ",José", header=HEADER + ",Name").replace("\n", "\r\n")
    assert read(path, content.encode(encoding)).calls == [CALL]


def test_columns_that_are_named_come_before_those_that_are_known(path: Path) -> None:
    content = lines(ROW + ",+13105559999,90", header=HEADER + ",Real Caller,Secs")
    found = read(path, content, columns={"caller_id": "real caller", "duration": "Secs"})
    assert (found.calls[0].caller, found.calls[0].duration_s) == ("+13105559999", Decimal(90))


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ("Payout,Price,Amount,Revenue", "Revenue"),
        ("Payout,Price,Amount", "Amount"),
        ("Payout,Price", "Price"),
        ("Payout", "Payout"),
    ],
)
def test_of_several_amounts_the_one_that_the_buyer_owes_is_taken(
    path: Path, headers: str, taken: str
) -> None:
    amounts = ",".join(str(number) for number in range(1, headers.count(",") + 2))
    found = read(path, f"Call ID,{headers}\nc-1,{amounts}\n")
    assert found.columns["amount"] == taken
    assert found.calls[0].amount == headers.split(",").index(taken) + 1


def test_the_right_columns_of_our_own_export_are_taken(path: Path) -> None:
    assert read(path, ",".join(CSV_COLUMNS) + "\n").columns == {
        "call_id": "call_id",
        "caller_id": "caller_id",
        "start": "started_at",
        "duration": "connected_duration_s",
        "amount": "revenue",
    }


def test_what_the_file_does_not_have_is_none(path: Path) -> None:
    (call,) = read(path, "from,date\n3105551234,2026-11-20T17:00:00Z\n").calls
    assert (call.call_id, call.duration_s, call.amount) == (None, None, None)


def test_a_file_of_call_ids_needs_no_callers_and_no_starts(path: Path) -> None:
    (call,) = read(path, "Call ID,Revenue\nc-1,52\n").calls
    assert call == ListedCall(2, "c-1", amount=Decimal(52))


def test_empty_cells_are_nothing(path: Path) -> None:
    (call,) = read(path, lines("anonymous,11/20/2026 12:00,,")).calls
    assert (call.caller, call.digits) == (None, None)
    assert (call.duration_s, call.amount) == (Decimal(0), Decimal(0))


def test_rows_that_cannot_be_read_are_named_by_line_and_never_quoted(path: Path) -> None:
    content = lines(
        ROW,
        "",
        "3105551234,soon,2:00,52",
        "3105551234,,2:00,52",
        '"3105551234","11/20/2026\n12:00",2:00,-52',
        "3105551234,11/20/2026 12:00",
        ROW + ",extra",
        ROW + ",,",
        "Total,,,5200.00",
    )
    found = read(path, content)
    assert found.calls == [CALL, ListedCall(10, *_rest(CALL))]
    assert [line for line, _ in found.bad] == [4, 5, 6, 8, 9, 11]
    assert found.bad_count == 6
    assert "3105551234" not in str(found.bad)


def _rest(call: ListedCall) -> tuple[Any, ...]:
    return (call.call_id, call.caller, call.digits, call.start, call.duration_s, call.amount)


def test_a_row_may_lack_columns_that_nobody_reads(path: Path) -> None:
    assert read(path, lines(ROW, header=HEADER + ",Notes,More")).calls == [CALL]


def test_a_cell_too_large_for_csv_costs_its_row_only(path: Path) -> None:
    found = read(path, lines("x" * 200_000 + ROW, ROW))
    assert [call.line for call in found.calls] == [3]
    assert found.bad[0][0] == 2


def test_the_first_twenty_bad_rows_are_named_and_all_are_counted(path: Path) -> None:
    found = read(path, lines(*["3105551234,soon,1,1"] * 30))
    assert (len(found.bad), found.bad_count) == (20, 30)


def test_the_same_column_twice_is_refused(path: Path) -> None:
    with pytest.raises(BuyerFileError, match="2 columns are called 'ani'"):
        read(path, lines(ROW + ",1", header=HEADER + ",ani"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("a,b\n1,2\n", "no column for caller_id, start"),
        ("ani,b\n1,2\n", "--column start=HEADER"),
        (b"\xff\xfe\x00", "no text"),
    ],
)
def test_what_is_no_call_file_is_refused(path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(BuyerFileError, match=words):
        read(path, content)


def test_a_column_that_is_named_must_be_there(path: Path) -> None:
    with pytest.raises(BuyerFileError, match=r"no column 'Secs'.*'ANI', 'Call Start'"):
        read(path, lines(ROW), columns={"duration": "Secs"})


def test_a_folder_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BuyerFileError, match="no regular file"):
            read(path)


def test_rows_and_bytes_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buyer_file, "MAXIMUM_ROWS", 2)
    assert len(read(path, lines(ROW, ROW)).calls) == 2
    with pytest.raises(BuyerFileError, match="more than 2 rows"):
        read(path, lines(ROW, "bad,row,1,1", ROW))
    monkeypatch.setattr(buyer_file, "MAXIMUM_BYTES", 10)
    with pytest.raises(BuyerFileError, match="split it"):
        read(path)


def test_progress_counts_every_character(path: Path) -> None:
    content = lines(*[ROW] * 5000)
    path.write_text(content)
    told: list[int] = []
    read_buyer_file(path, Reading(Times(ZoneInfo("UTC")), "US"), told.append)
    assert sum(told) == len(content)
    assert len(told) > 2
