"""Migrations on a real server."""

import asyncio

import asyncpg
import pytest

from auction.ports import StorageUnavailableError
from storage.errors import SchemaMismatchError
from storage.migrate import Migration, load_migrations, migrate, parse_migrations

ONE = Migration(1, "0001_one", "create table one (id int); insert into one values (1)")
TWO = Migration(2, "0002_two", "create table two (id int)")
BROKEN = Migration(2, "0002_two", "create table half (id int); select 1/0")


async def test_the_whole_schema_is_applied_to_an_empty_database_once(empty_dsn: str) -> None:
    names = [step.name for step in load_migrations()]
    assert names[0] == "0001_marketplace"
    assert await migrate(empty_dsn) == names
    assert await migrate(empty_dsn) == []


async def test_steps_added_later_are_applied_alone(empty_dsn: str) -> None:
    assert await migrate(empty_dsn, [ONE]) == ["0001_one"]
    assert await migrate(empty_dsn, [ONE, TWO]) == ["0002_two"]
    assert await tables(empty_dsn) == ["one", "schema_migrations", "two"]


async def test_many_starts_at_once_apply_each_step_once(empty_dsn: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_dsn, [ONE, TWO]) for _ in range(8)))
    assert sorted(name for names in applied for name in names) == ["0001_one", "0002_two"]


async def test_a_step_that_fails_leaves_nothing_of_itself(empty_dsn: str) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_dsn, [ONE, BROKEN])
    assert await tables(empty_dsn) == ["one", "schema_migrations"]
    assert await migrate(empty_dsn, [ONE, TWO]) == ["0002_two"]


async def test_a_database_newer_than_the_code_is_refused(empty_dsn: str) -> None:
    await migrate(empty_dsn, [ONE, TWO])
    with pytest.raises(SchemaMismatchError, match=r"newer than this program.*0002_two"):
        await migrate(empty_dsn, [ONE])


async def test_a_step_changed_since_it_was_applied_is_refused(empty_dsn: str) -> None:
    await migrate(empty_dsn, [ONE])
    changed = Migration(1, "0001_one", "create table other (id int)")
    with pytest.raises(SchemaMismatchError, match="0001_one"):
        await migrate(empty_dsn, [changed, TWO])
    assert await tables(empty_dsn) == ["one", "schema_migrations"]


async def test_no_server_is_unavailable(tmp_path: object) -> None:
    with pytest.raises(StorageUnavailableError):
        await migrate(f"postgresql://nobody@/none?host={tmp_path}")


@pytest.mark.parametrize(
    "names", [["0002_two.sql"], ["0001_one.sql", "0003_three.sql"], ["1_one.sql"], ["0001_One.sql"]]
)
def test_file_names_with_a_gap_or_a_bad_form_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="form NNNN_name"):
        parse_migrations(dict.fromkeys(names, ""))


async def tables(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    await connection.close()
    return sorted(row["relname"] for row in rows)
