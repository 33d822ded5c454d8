"""What the report of an end-to-end test says of how it ended."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFTEST = """
from pathlib import Path
from tests.e2e import report as reports
from tests.e2e.conftest import pytest_runtest_makereport, pytest_sessionstart, report
from tests.e2e import conftest

reports.FOLDER = conftest.FOLDER = Path(__file__).parent / "results"
"""
TESTS = """
import pytest

def test_good(report):
    report.equal("calls", 1, 1)

def test_bad(report):
    report.equal("calls", 1, 2)

def test_elsewhere(report):
    pytest.skip("no machine for it")

def test_interrupted(report):
    raise KeyboardInterrupt
"""


def test_a_report_says_whether_its_test_passed_failed_was_skipped_or_never_ended(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_these.py").write_text(TESTS)
    results = tmp_path / "results"
    results.mkdir()
    (results / "test_of_another_run.md").write_text("# test_of_another_run: passed")
    subprocess.run(
        (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert {path.stem: path.read_text().splitlines()[0] for path in results.iterdir()} == {
        "test_good": "# test_good: passed",
        "test_bad": "# test_bad: failed",
        "test_elsewhere": "# test_elsewhere: Skipped: no machine for it",
        "test_interrupted": "# test_interrupted: broken off",
    }
