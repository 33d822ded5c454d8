"""What is in ``deploy/``, each file by the tool of whoever reads it."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import Page, blocks_run_by
from tests.e2e.programs import program, tool
from tests.e2e.report import Report

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted(
    path.name
    for path in (DEPLOY / "kubernetes").glob("*.yaml")
    if path.name not in ("kustomization.yaml", "servicemonitor.yaml")
)
EXPOSED_AT_MOST = 20
"""Tenths, by ``systemd-analyze security``; an ordinary service has 96."""

SECRETS = {
    "POSTGRES_PASSWORD": "for-this-test",
    "PINGPOST_SECRET_KEY": "for-this-test",
    "GRAFANA_PASSWORD": "for-this-test",
}
SERVICE_MONITOR = """
import sys, yaml
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from pydantic import BaseModel

def unknown(read):
    if isinstance(read, BaseModel):
        return [*(read.model_extra or ()), *unknown(list(read.__dict__.values()))]
    return [name for each in read for name in unknown(each)] if isinstance(read, list) else []

def same(given, read):
    if isinstance(given, dict):
        return all(name in read and same(value, read[name]) for name, value in given.items())
    return all(map(same, given, read)) if isinstance(given, list) else given == read

given = yaml.safe_load(open(sys.argv[1]))
read = ServiceMonitor.model_validate(given)
kept = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
sys.exit(0 if same(given, kept) and not unknown(read) else f"not understood: {unknown(read)}")
"""


def run(*command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What a tool says of a file; it must be content with it."""
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert found.returncode == 0, f"{found.stdout}\n{found.stderr}"
    return found


def composed(folder: Path, **environment: str) -> dict[str, Any]:
    """The services as Compose reads them, with the files that the page has copied and filled in."""
    shutil.copytree(DEPLOY, folder / "deploy")
    shutil.copytree(ROOT / "metrics", folder / "metrics")
    page = Page(ROOT / "docs" / "deployment.md")
    (copying,) = (each.text for each, _ in page.commands() if "deploy/compose" in each.text)
    filling = "".join(
        f"sed -i 's/^{name}=$/{name}={value}/' .env\n" for name, value in SECRETS.items()
    )
    read = f"{program('docker-compose')} config"
    commands = f"cd {folder}\n{copying}\n{filling}\n{read}"
    said = run("bash", "-ec", commands, **environment).stdout
    services: dict[str, Any] = yaml.safe_load(said)["services"]
    return services


def test_the_dockerfile_is_one_that_hadolint_has_nothing_against(report: Report) -> None:
    said = run(tool("hadolint"), "--failure-threshold", "style", DEPLOY / "docker" / "Dockerfile")
    report.equal("hadolint's remarks", "", said.stdout)


def test_compose_runs_two_services_alike_with_all_that_is_mounted_there(
    tmp_path: Path, report: Report
) -> None:
    services = composed(tmp_path)
    one, two = ({**services[name]} for name in ("pingpost-1", "pingpost-2"))
    report.equal("whose image is built", (True, False), ("build" in one, "build" in two))
    for service in (one, two):
        service.pop("build", None), service.pop("pull_policy", None)
    report.equal("two services", one, two)
    mounts = [each.split(":")[0] for service in services.values() for each in texts_of(service)]
    missing = [each for each in mounts if each.startswith("/") and not Path(each).exists()]
    report.equal("files that are mounted and are not there", [], missing)


def test_compose_opens_what_is_for_operators_by_a_word_of_its_own(
    tmp_path: Path, report: Report
) -> None:
    services = composed(tmp_path, PUBLISH="10.0.0.1", PUBLISH_OPS="10.0.0.2")
    ports = {name: service.get("ports", ()) for name, service in services.items()}
    seen = {(name, host_of(each)) for name, of_it in ports.items() for each in of_it}
    wanted = {("haproxy", "10.0.0.1"), ("prometheus", "10.0.0.2"), ("grafana", "10.0.0.2")}
    report.equal("who is open to others where", wanted, seen)


def host_of(port: str | dict[str, str]) -> str:
    """Where a port is open; the two versions of Compose tell it each in its way."""
    return port.partition(":")[0] if isinstance(port, str) else port["host_ip"]


def texts_of(service: dict[str, Any]) -> list[str]:
    return [each for each in service.get("volumes", ()) if isinstance(each, str)]


@pytest.mark.parametrize("without", sorted(SECRETS))
def test_compose_does_not_start_without_a_secret(without: str) -> None:
    command = (program("docker-compose"), "-f", DEPLOY / "compose" / "compose.yaml", "config")
    environment = {"PATH": os.environ["PATH"], **SECRETS, without: ""}
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert found.returncode != 0
    assert without in found.stderr


def test_prometheus_in_compose_scrapes_the_services_and_finds_the_rules(
    tmp_path: Path, report: Report
) -> None:
    shutil.copy(DEPLOY / "compose" / "prometheus.yml", tmp_path)
    shutil.copytree(ROOT / "metrics" / "rules", tmp_path / "rules")
    said = run(program("promtool"), "check", "config", tmp_path / "prometheus.yml").stdout
    report.fact("promtool", said.strip().replace("\n", "; "))
    assert "rules found" in said


def test_haproxy_understands_its_file_as_compose_starts_it(tmp_path: Path, report: Report) -> None:
    given = composed(tmp_path)["haproxy"]["environment"]
    # Names of the containers, which are known in their network only.
    known = {name: value.replace("pingpost-", "127.0.0.") for name, value in given.items()}
    run(program("haproxy"), "-c", "-f", DEPLOY / "haproxy" / "haproxy.cfg", **known)
    run(program("haproxy"), "-c", "-f", DEPLOY / "haproxy" / "haproxy.cfg")
    report.fact("haproxy -c", "valid, alone and with the addresses of compose")


def test_systemd_understands_the_unit_and_finds_it_little_exposed(
    tmp_path: Path, report: Report
) -> None:
    unit = tmp_path / "pingpost.service"
    text = (DEPLOY / "systemd" / "pingpost.service").read_text()
    assert "ExecStart=/opt/pingpost/bin/pingpost " in text
    # What it starts must be there.
    unit.write_text(text.replace("ExecStart=/opt/pingpost/bin/pingpost ", "ExecStart=/bin/true "))
    analyze = program("systemd-analyze")
    said = run(analyze, "verify", "--man=no", unit)
    report.equal("systemd-analyze verify", "", said.stdout + said.stderr)
    threshold = f"--threshold={EXPOSED_AT_MOST}"
    said = run(analyze, "security", "--offline=yes", "--no-pager", threshold, unit)
    report.fact("systemd-analyze security", said.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_knows_every_field(name: str, report: Report) -> None:
    run(tool("kubernetes-validate"), "--strict", DEPLOY / "kubernetes" / name)
    report.fact("kubernetes-validate --strict", name)


def test_the_prometheus_operator_knows_every_field_of_the_service_monitor() -> None:
    run(tool("python"), "-c", SERVICE_MONITOR, DEPLOY / "kubernetes" / "servicemonitor.yaml")


def commands_run_by(runner: str) -> list[list[str]]:
    """The commands of pages that a file of this folder runs in the long form, word by word."""
    blocks = blocks_run_by(Path(__file__).parent / runner)
    return [shlex.split(line) for block in blocks for line in block.lines()]


def test_kubectl_makes_the_secret_and_the_objects_that_the_page_tells(
    tmp_path: Path, report: Report
) -> None:
    kubectl = program("kubectl")
    told = commands_run_by("test_kubernetes.py")
    create, apply, rollout, _, monitor = (words[1:] for words in told)
    (tmp_path / "pingpost.env").write_text("PINGPOST_DSN=postgresql://db\nPINGPOST_SECRET_KEY=k\n")
    words = [each.replace("pingpost.env", f"{tmp_path}/pingpost.env") for each in create]
    secret = yaml.safe_load(run(kubectl, *words, "--dry-run=client", "-o", "yaml").stdout)
    example = yaml.safe_load((DEPLOY / "kubernetes" / "secret.example.yaml").read_text())
    report.equal("the secret's name", example["metadata"]["name"], secret["metadata"]["name"])
    report.equal("its keys", set(example["stringData"]), set(secret["data"]))

    assert apply[:2] == ["apply", "-k"]
    made = list(yaml.safe_load_all(run(kubectl, "kustomize", ROOT / apply[2]).stdout))
    names = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in made}
    report.equal("what is waited for is made", True, rollout[-1] in names)
    report.equal("of the operator's kinds", set(), {each for each in names if "monitor" in each})
    assert monitor[:2] == ["apply", "-f"]
    assert (ROOT / monitor[2]).is_file()
