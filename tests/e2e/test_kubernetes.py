"""The manifests in a real cluster, applied as the page on deployment says."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from buyers.simulator.server import SimulatedBuyers
from config.secret_box import new_key
from tests.docs.pages import blocks_run_by
from tests.e2e.cluster import Cluster, a_cluster
from tests.e2e.copied_system import copied_checkout
from tests.e2e.engine import Engine
from tests.e2e.images import PAUSE
from tests.e2e.report import Report
from tests.e2e.traffic import ACME_TOKEN, MEANWHILE, marketplace, selling_buyers, traffic_at
from tests.eventually import eventually
from tests.postgres_cluster import DatabaseServer, a_server
from tests.service_process import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="session")

CAMPAIGNS = ("rolled", "drained", "gone", "again")
DATABASE = "calls"
IMAGE = "localhost/pingpost:1"
ROLLED_OUT = "kubectl rollout status --timeout 120s deployment/pingpost"
CALLED_DEAD_AFTER_S = 40.0
"""Longer than pods whose liveness fails are let live."""

OF_IT = "--selector app.kubernetes.io/name=pingpost"


@dataclass(frozen=True, slots=True)
class Site:
    """What runs. ``said``: what the page's blocks print."""

    cluster: Cluster
    database: DatabaseServer
    url: str
    said: str
    buyers: SimulatedBuyers

    async def pods(self) -> list[dict[str, Any]]:
        """What the cluster knows of the service's pods."""
        found = json.loads(await self.cluster.run(f"kubectl get pods {OF_IT} --output json"))
        pods: list[dict[str, Any]] = found["items"]
        return pods

    async def ready(self) -> int:
        """How many of them are ready."""
        states = [each["status"].get("containerStatuses", [{}])[0] for each in await self.pods()]
        return sum(bool(state.get("ready")) for state in states)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A cluster that takes restricted pods alone, with all that the page applies."""
    folder = tmp_path_factory.mktemp("kubernetes")
    checkout, images = copied_checkout(folder), folder / "images.tar"
    await engine.run(f"docker build -f deploy/docker/Dockerfile -t {IMAGE} .", checkout)
    await engine.run(f"docker save --output {images} {PAUSE} {IMAGE}")
    _made_ready(checkout / "deploy" / "kubernetes" / "deployment.yaml")
    async with a_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        await cluster.take_image(images)
        images.unlink()
        await cluster.run(
            "kubectl label namespace default pod-security.kubernetes.io/enforce=restricted"
        )
        database = a_server(tmp_path_factory.mktemp("servers"), "database", cluster.here)
        async with selling_buyers(cluster.here) as buyers:
            file = checkout / "marketplace.yaml"
            file.write_text(marketplace(CAMPAIGNS, buyers), encoding="utf-8")
            try:
                await database.make()
                await database.start()
                await database.value(f"create database {DATABASE}")
                yield await _applied(cluster, database, buyers, checkout)
            finally:
                await database.stop()


def _made_ready(deployment: Path) -> None:
    """The page has one's own image set. Two cores do not hold three pods of one each."""
    text = deployment.read_text(encoding="utf-8")
    changed = text.replace("image: pingpost:latest", f"image: {IMAGE}").replace(
        'requests: {cpu: "1"', "requests: {cpu: 100m"
    )
    assert IMAGE in changed
    assert "100m" in changed
    deployment.write_text(changed, encoding="utf-8")


async def _applied(
    cluster: Cluster, database: DatabaseServer, buyers: SimulatedBuyers, checkout: Path
) -> Site:
    settings = {
        "PINGPOST_DSN": database.dsn.replace("/postgres?", f"/{DATABASE}?"),
        "PINGPOST_SECRET_KEY": new_key(),
        "PINGPOST_BOOTSTRAP_TOKEN": TOKEN,
        "PINGPOST_OUTBOUND_ALLOW": f"{cluster.here}/32",
        "ACME_TOKEN": ACME_TOKEN,
    }
    lines = (f"{name}={value}\n" for name, value in settings.items())
    (checkout / "pingpost.env").write_text("".join(lines), encoding="utf-8")
    service, monitor = (block.text for block in blocks_run_by(__file__))
    said = await cluster.run(service, checkout)
    await cluster.learns("servicemonitors.yaml")
    said += await cluster.run(monitor, checkout)
    address = "kubectl get service pingpost --output jsonpath='{.spec.clusterIP}'"
    return Site(cluster, database, f"http://{await cluster.run(address)}", said, buyers)


async def test_everything_is_there_and_two_restricted_pods_are_ready_as_the_page_says(
    site: Site, report: Report
) -> None:
    made = set(re.findall(r"^(\S+) created$", site.said, re.MULTILINE))
    report.equal(
        "made",
        {
            "secret/pingpost",
            "configmap/pingpost",
            "service/pingpost",
            "service/pingpost-ops",
            "deployment.apps/pingpost",
            "poddisruptionbudget.policy/pingpost",
            "servicemonitor.monitoring.coreos.com/pingpost",
        },
        made,
    )
    report.equal("rolled out", True, "successfully rolled out" in site.said)
    report.equal("in force", True, "revision 1, now in force" in site.said)
    report.equal("pods that are ready", 2, await site.ready())


async def test_a_rolling_update_costs_no_call(site: Site, report: Report) -> None:
    before = {each["metadata"]["name"] for each in await site.pods()}
    async with traffic_at(site.url, "rolled", 0) as traffic:
        await traffic.more()
        await site.cluster.run(f"kubectl rollout restart deployment/pingpost && {ROLLED_OUT}")

        async def replaced() -> bool:
            now = {each["metadata"]["name"] for each in await site.pods()}
            return len(now) == 2 and not now & before

        await eventually(replaced, within_s=60, every_s=0.5)
        await traffic.more()
    traffic.compare_all_as_ever(report, site.buyers)


async def test_a_drained_node_keeps_one_pod_and_costs_no_call(site: Site, report: Report) -> None:
    async with traffic_at(site.url, "drained", 1) as traffic:
        await traffic.more()
        with pytest.raises(AssertionError, match="disruption budget"):
            await site.cluster.run("kubectl drain node --timeout 20s")
        await traffic.more()
        report.equal("pods that are ready, with nowhere to go", 1, await site.ready())
        await site.cluster.run(f"kubectl uncordon node && {ROLLED_OUT}")
        await traffic.more()
    traffic.compare_all_as_ever(report, site.buyers)


async def test_a_pod_that_is_gone_at_once_is_replaced_and_no_call_stays_without_an_answer(
    site: Site, report: Report
) -> None:
    first = (await site.pods())[0]["metadata"]["name"]
    async with traffic_at(site.url, "gone", 2) as traffic:
        await traffic.more()
        await site.cluster.run(f"kubectl delete pod {first} --grace-period 0 --force")

        async def replaced() -> bool:
            names = {each["metadata"]["name"] for each in await site.pods()}
            return first not in names and len(names) == 2 == await site.ready()

        await eventually(replaced, within_s=60, every_s=0.5)
        await traffic.more()
    await traffic.compare_each_sold_once(report, site.buyers)


async def test_pods_without_their_database_are_left_out_and_not_restarted(
    site: Site, report: Report
) -> None:
    async def restarts() -> int:
        states = [each["status"]["containerStatuses"][0] for each in await site.pods()]
        return sum(state["restartCount"] for state in states)

    async def restarted() -> bool:
        return await restarts() > before

    async def so_many_are_ready(count: int) -> bool:
        return await site.ready() == count

    await eventually(lambda: so_many_are_ready(2), within_s=60, every_s=0.5)
    before = await restarts()
    site.database.kill()
    await eventually(lambda: so_many_are_ready(0), within_s=60, every_s=0.5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(CALLED_DEAD_AFTER_S):
            await eventually(restarted, within_s=2 * CALLED_DEAD_AFTER_S, every_s=1)
    await site.database.start()
    await eventually(lambda: so_many_are_ready(2), within_s=60, every_s=0.5)
    report.equal("restarts", before, await restarts())
    async with traffic_at(site.url, "again", 3) as traffic:
        await traffic.more(2 * MEANWHILE)
    traffic.compare_all_as_ever(report, site.buyers)
