"""The smallest load runs, with every process real: figures are there and counts agree."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.report import read_report
from benchmarks.stack import Database, ManagedProcess, running_database, running_service
from benchmarks.stack.stack import StackOptions, running_stack

LOAD = (sys.executable, "-m", "benchmarks", "load")
SMALL = ("--buyers", "2", "--duration", "1", "--warmup", "0.3", "--delay-ms", "5")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (*LOAD, *arguments, "--output", str(folder))
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_small_run_reports_what_it_measured(tmp_path: Path) -> None:
    parts = ("--in-flight", "2", "--rate", "20", "--events", "--tls", "--sample", "5")
    done = run(tmp_path, *SMALL, *parts)
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("load-*.json")
    report = read_report(file)
    assert report.figures["rate_20.calls"] == 20
    assert report.figures["in_flight_2.calls"] > 2
    for part in ("in_flight_2", "rate_20"):
        assert report.figures[f"{part}.service_cpu_us_per_call"] > 0
        assert report.figures[f"{part}.decision_p50_ms"] > 10
        assert report.figures[f"{part}.ledger_batch_mean"] >= 1
        assert report.figures[f"{part}.own_overhead_mean_ms"] > 0
    assert "Throughput" in done.stdout
    assert file.with_suffix(".html").read_text().count("<svg ") == len(report.plots) == 5


async def test_a_service_that_does_not_start_is_shown_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    nobody = await ManagedProcess.start("nobody", (sys.executable, "-c", ""), tmp_path / "log")
    database = Database(nobody, "mysql://127.0.0.1/pingpost")
    with pytest.raises(BenchmarkError, match=r"(?s)the service ended with 1.*postgresql://"):
        async with running_service(tmp_path, database, {}):
            raise AssertionError("it is not ready")
    await nobody.stop()


async def test_two_services_share_a_database_whose_commits_wait_for_a_standby() -> None:
    options = StackOptions(buyers=1, services=2, standby=True)
    async with running_stack(options) as stack:
        (other,) = stack.others
        connection = await asyncpg.connect(stack.database.dsn)
        state = await connection.fetchval("select sync_state from pg_stat_replication")
        await connection.close()
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {other.token}"}) as client:
            answers = [
                await client.get(f"{each.url}/v1/campaigns") for each in (stack.service, other)
            ]
        assert state == "sync"
        assert answers[0].json() == answers[1].json()
        assert stack.service.port != other.port


async def test_a_postgresql_that_can_not_be_started_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(BenchmarkError, match="PostgreSQL can't be started"):
        async with running_database(tmp_path):
            raise AssertionError("there is none")


async def test_a_run_that_is_ended_early_leaves_no_process(tmp_path: Path) -> None:
    command = (*LOAD, *SMALL, "--rate", "5", "--duration", "60", "--output", str(tmp_path))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stderr=pipe)
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while b"5 calls/s" not in await process.stderr.readline():
            pass
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _, told = await process.communicate()
    assert len(children) > 4
    assert process.returncode == 1
    assert b"ended early" in told
    assert not any(child.is_running() for child in children)
