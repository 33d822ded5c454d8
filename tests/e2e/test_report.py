"""The report of an end-to-end run."""

import pytest

from tests.e2e.report import Report


def test_a_comparison_that_fails_is_raised_and_stands_in_the_report() -> None:
    report = Report("a-run")
    report.fact("calls", 200)
    report.equal("revenue", "52.00", "52.00")
    with pytest.raises(AssertionError, match="answered: wanted 3, seen 2"):
        report.equal("answered", 3, 2)

    lines = report._lines("failed")
    assert lines[0] == "# a-run: failed"
    assert "- calls: 200" in lines
    assert lines[-3:-1] == ["| revenue | 52.00 | 52.00 | yes |", "| answered | 3 | 2 | **no** |"]
