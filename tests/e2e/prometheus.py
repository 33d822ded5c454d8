"""A real Prometheus around a service: started on a free port, asked by its HTTP API."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.e2e.programs import program
from tests.eventually import eventually
from tests.promql import RULES
from tests.service_process import free_port

SCRAPE_EVERY_S = 2
"""Longer than a scrape takes while the database does not answer."""

Series = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str
    session: aiohttp.ClientSession

    async def query(self, expression: str) -> list[tuple[Series, float]]:
        """The labels and values of an instant query that must succeed."""
        data = await self._data("/api/v1/query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    async def value(self, expression: str) -> float:
        """The only value of a query, NaN where there is none."""
        results = await self.query(expression)
        assert len(results) < 2, f"{expression} has {len(results)} results"
        return results[0][1] if results else math.nan

    async def by(self, label: str, expression: str) -> dict[str, float]:
        """The values of a query that are not 0, by a label."""
        return {series[label]: value for series, value in await self.query(expression) if value}

    async def firing(self, name: str) -> list[Series]:
        """The labels of all alerts of a name that fire."""
        data = await self._data("/api/v1/alerts")
        labels = [each["labels"] for each in data["alerts"] if each["state"] == "firing"]
        return [each for each in labels if each["alertname"] == name]

    async def unhealthy_rules(self) -> list[str]:
        """What is said of each rule that could not be evaluated."""
        data = await self._data("/api/v1/rules")
        rules = [rule for group in data["groups"] for rule in group["rules"]]
        return [f"{rule['name']}: {rule}" for rule in rules if rule["health"] != "ok"]

    async def _data(self, path: str, **form: str) -> dict[str, Any]:
        method = self.session.post if form else self.session.get
        async with method(f"{self.url}{path}", data=form or None) as response:
            answer = await response.json()
        assert answer["status"] == "success", f"{form}: {answer}"
        data: dict[str, Any] = answer["data"]
        return data


@asynccontextmanager
async def a_prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes ``target`` (``host:port``) and evaluates our rules every second.

    In the rules' copy alerts wait two seconds before they fire, instead of minutes.
    """
    port = free_port()
    command = [
        str(program("prometheus")),
        f"--config.file={_configuration(folder, target)}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        async with aiohttp.ClientSession() as session:
            prometheus = Prometheus(f"http://127.0.0.1:{port}", session)
            await eventually(lambda: _is_ready(prometheus), within_s=30, every_s=0.1)
            yield prometheus
    finally:
        process.terminate()
        async with asyncio.timeout(20):
            await process.wait()


async def _is_ready(prometheus: Prometheus) -> bool:
    try:
        async with prometheus.session.get(f"{prometheus.url}/-/ready") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _configuration(folder: Path, target: str) -> Path:
    rules = folder / "rules"
    rules.mkdir()
    for path in RULES:
        (rules / path.name).write_text(_hurried(path), encoding="utf-8")
    configuration = {
        "global": {
            "scrape_interval": f"{SCRAPE_EVERY_S}s",
            "scrape_timeout": f"{SCRAPE_EVERY_S}s",
            "evaluation_interval": "1s",
        },
        "rule_files": [str(rules / "*.yaml")],
        "scrape_configs": [{"job_name": "pingpost", "static_configs": [{"targets": [target]}]}],
    }
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return path


def _hurried(path: Path) -> str:
    file = yaml.safe_load(path.read_text(encoding="utf-8"))
    for group in file["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "2s"
    return yaml.safe_dump(file, sort_keys=False)
