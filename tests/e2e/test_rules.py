"""The rules as promtool sees them: they are right, and each alert fires when it should."""

import subprocess
from collections.abc import Sequence

from tests.e2e.programs import program
from tests.e2e.report import Report
from tests.promql import RULE_TESTS, RULES, alerts, recorded


def promtool(*arguments: object, text: str = "") -> tuple[int, str]:
    """The exit code and all that promtool says."""
    command: Sequence[str] = [str(program("promtool")), *map(str, arguments)]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_promtool_finds_nothing_wrong_with_the_rules(report: Report) -> None:
    code, said = promtool("check", "rules", *RULES)
    report.fact("rules", f"{len(recorded())} recording, {len(alerts())} alert")
    report.equal("exit code of promtool check rules", 0, code)
    assert "FAILED" not in said, said


def test_every_unit_test_of_the_rules_passes(report: Report) -> None:
    code, said = promtool("test", "rules", *RULE_TESTS)
    report.fact("test files", len(RULE_TESTS))
    assert code == 0, said
    report.equal("files that succeed", len(RULE_TESTS), said.count("SUCCESS"))
