"""The table and the CSV of a comparison."""

import csv
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from auction.cli.buyer_file import BuyerFile
from auction.cli.reconcile_view import COLUMNS, Report, show, show_notes, write_rows
from auction.domain.ids import CallId
from auction.domain.reconcile import reconcile
from auction.domain.tie_out import ListedCall, Row, SoldCall, Tolerance
from tests.builders import NOON

CALLER = "+13105551234"


def sold(call_id: str = "c-1", **changes: Any) -> SoldCall:
    values: dict[str, Any] = {
        "caller": CALLER,
        "start": NOON,
        "total_s": Decimal("128.500"),
        "connected_s": Decimal("120.000"),
        "amount": Decimal(52),
        **changes,
    }
    return SoldCall(CallId(call_id), 1, frozenset({call_id}), **values)


def listed(line: int = 2, **changes: Any) -> ListedCall:
    values: dict[str, Any] = {
        "caller": CALLER,
        "digits": CALLER[-10:],
        "start": NOON,
        "duration_s": Decimal(128),
        "amount": Decimal(50),
        **changes,
    }
    return ListedCall(line, **values)


def a_report(file: BuyerFile, rows: tuple[Row, ...]) -> Report:
    return Report("acme", "USD", NOON, NOON + timedelta(hours=1), file, rows)


def a_file(*calls: ListedCall) -> BuyerFile:
    return BuyerFile({"caller_id": "ANI"}, list(calls))


def written(path: Path, rows: tuple[Row, ...], *, show_numbers: bool = False) -> list[list[str]]:
    write_rows(path, rows, show_numbers=show_numbers)
    with path.open(newline="") as file:
        header, *cells = csv.reader(file)
    assert tuple(header) == COLUMNS
    return cells


def test_a_row_has_both_sides_and_numbers_are_masked(tmp_path: Path) -> None:
    rows = reconcile([sold()], [listed(call_id="=cmd|' /C calc'!A0")], Tolerance())
    assert written(tmp_path / "out.csv", rows) == [
        [
            "different_duration+different_amount",
            "their duration is our total time, not the connected time",
            "c-1",
            "1",
            "+1310*****34",
            "2026-11-20T17:00:00.000Z",
            "120",
            "128.5",
            "52.00",
            "2",
            "'=cmd|' /C calc'!A0",
            "+1310*****34",
            "2026-11-20T17:00:00.000Z",
            "128",
            "50.00",
        ]
    ]


def test_numbers_are_shown_when_asked_for(tmp_path: Path) -> None:
    rows = reconcile([sold()], [listed(caller=None)], Tolerance())
    (cells,) = written(tmp_path / "out.csv", rows, show_numbers=True)
    assert (cells[4], cells[11]) == (CALLER, "3105551234")
    (cells,) = written(tmp_path / "out.csv", rows)
    assert (cells[4], cells[11]) == ("+1310*****34", "*****")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    evil = f"{start}1+1"
    rows = reconcile([sold(evil)], [listed(call_id="x" + evil)], Tolerance())
    cells = written(tmp_path / "out.csv", rows, show_numbers=True)[0]
    assert cells[2] == f"'{evil}"
    rows = reconcile([], [listed(call_id=evil)], Tolerance())
    assert written(tmp_path / "out.csv", rows)[0][10] == f"'{evil}"


def test_a_side_that_is_missing_leaves_its_cells_empty(tmp_path: Path) -> None:
    rows = reconcile(
        [sold(caller=None, connected_s=None, total_s=None)],
        [listed(start=None, duration_s=None, amount=None)],
        Tolerance(),
    )
    theirs, ours = written(tmp_path / "out.csv", rows)
    assert theirs[2:9] == [""] * 7
    assert theirs[12:] == ["", "", ""]
    assert ours[9:] == [""] * 6
    assert ours[4:9] == ["", "2026-11-20T17:00:00.000Z", "", "", "52.00"]


def test_the_table_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    calls = [listed(), listed(3, start=NOON + timedelta(minutes=30))]
    show(a_report(a_file(*calls), reconcile([sold()], calls, Tolerance())))
    told = capsys.readouterr().out
    assert [line.split() for line in told.splitlines() if line.strip().startswith("total")] == [
        ["total", "2", "52.00", "100.00", "48.00"]
    ]
    assert "In 1 of the different durations their duration is our total time" in told
    assert CALLER not in told


def test_when_nothing_matches_a_hint_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    calls = [listed(start=NOON + timedelta(hours=5))]
    report = a_report(a_file(*calls), reconcile([sold()], calls, Tolerance()))
    show(report)
    assert "Not one call matches" in capsys.readouterr().out
    assert not report.agrees


def test_bad_rows_are_told_and_keep_a_comparison_from_agreeing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = a_file()
    assert a_report(file, ()).agrees
    for line in range(2, 32):
        file.refuse(line, "has no start")
    show_notes(file)
    told = capsys.readouterr().err
    assert "columns: caller_id from 'ANI'" in told
    assert "line 21: has no start" in told
    assert "30 rows can't be read and are not compared (10 not shown)" in told
    assert not a_report(file, ()).agrees
