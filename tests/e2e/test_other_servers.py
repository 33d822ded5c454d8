"""The suite against a server that is not its own, as `docs/scaling.md` tells to try one."""

import asyncio
import re

import asyncpg
import pytest

from tests.docs.pages import ROOT, blocks_run_by
from tests.e2e.report import Report

WITHIN_S = 900.0
_ANOTHER = "postgresql://…"


async def databases_made_so_far(dsn: str) -> int:
    """Grows with every database that is made in a server, though it may be gone again."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("create database counted")
        oid = await connection.fetchval(
            "select oid::int from pg_database where datname = 'counted'"
        )
        await connection.execute("drop database counted")
    finally:
        await connection.close()
    assert isinstance(oid, int)
    return oid


async def test_the_tests_of_statements_run_against_another_server(
    server: tuple[str, str], short: bool, report: Report
) -> None:
    if short:
        pytest.skip("minutes of tests that the suite runs anyway: in the long form only")
    (block,) = blocks_run_by(__file__)
    assert _ANOTHER in block.text
    dsn = f"postgresql://pingpost@{server[1]}/pingpost"
    before = await databases_made_so_far(dsn)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", block.text.replace(_ANOTHER, dsn)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(WITHIN_S):
        said, _ = await process.communicate()
    report.fact("pytest", said.decode().strip().splitlines()[-1])
    report.equal("ends with", 0, process.returncode)
    passed = re.search(rb"(\d+) passed", said)
    assert passed is not None
    # A database a test, or nearly.
    made = await databases_made_so_far(dsn) - before
    report.equal("more objects made there than tests passed", True, made > int(passed[1]))
