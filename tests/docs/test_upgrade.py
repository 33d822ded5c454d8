"""What `docs/howto/upgrade.md` says may run beside what."""

import re
from pathlib import Path

from config.secret_box import new_key
from storage.migrate import Migration, load_migrations, migrate
from tests.eventually import eventually
from tests.service_process import ServiceProcess, a_service, a_switch, free_port
from tests.unit.config.samples import ACCEPTANCE, SET

_TAKES_AWAY = re.compile(
    r"\b(drop (table|column|index|view|type)|alter column|rename|set not null)\b", re.IGNORECASE
)


def a_later_step() -> Migration:
    """A migration of a release to come: it adds, as all do."""
    number = len(load_migrations()) + 1
    text = (
        "create table later (id bigint primary key);"
        "alter table calls add column later text;"
        "create index on calls (later) where later is not null"
    )
    return Migration(number, f"{number:04}_later", text)


async def test_a_running_service_goes_on_over_a_newer_schema_and_cannot_start_on_it(
    dsn: str, tmp_path: Path
) -> None:
    environment = {"PINGPOST_DSN": dsn, "PINGPOST_SECRET_KEY": new_key(), **SET}
    arguments = ("--marketplace", str(ACCEPTANCE))
    async with (
        a_service(tmp_path / "older", *arguments, environment=environment) as older,
        a_switch() as switch,
    ):
        call = {"dialed_number": "+18005550100", "caller_id": "+13105551234", "timeout_ms": 9000}
        before = await switch.route(older, call_id="before", **call)
        await migrate(dsn, [*load_migrations(), a_later_step()])

        after = await switch.route(older, call_id="after", **call)
        assert (before["action"], after["action"]) == ("route", "route")
        assert await switch.route(older, call_id="before", **call) == before
        assert (await switch.record(older, "after"))["cdr"]["state"] == "routed"

        again = ServiceProcess(
            tmp_path / "again", free_port(), free_port(), environment=environment
        )
        await again.launch()
        assert again.process is not None
        assert await again.process.wait() == 1
        await eventually(lambda: "the database is newer than this program" in again.log)


def test_migrations_only_add() -> None:
    for step in load_migrations():
        found = _TAKES_AWAY.search(re.sub(r"--.*", "", step.text))
        assert found is None, f"{step.name}: {found}: an older service may be running"
