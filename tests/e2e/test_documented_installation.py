"""Commands of the documentation that change a system, word for word, on a copy of this one."""

import re
from pathlib import Path

import pytest

from config.secret_box import new_key
from tests.docs.pages import ROOT, blocks_run_by
from tests.e2e.copied_system import run_in_a_copy
from tests.e2e.programs import program
from tests.e2e.report import Report
from tests.e2e.sipp import free_udp_port
from tests.service_process import free_port

SETTINGS_OF_KAMAILIO = """
sed -i -e 's/^PINGPOST_TOKEN=.*/PINGPOST_TOKEN=none/' \
    -e 's/^SWITCH_LISTEN=.*/SWITCH_LISTEN=udp:127.0.0.1:{port}/' /etc/default/kamailio
"""
SETTINGS_OF_THE_SERVICE = """
sed -i -e 's|^dsn = .*|dsn = "{dsn}"|' -e 's|^secret_key = .*|secret_key = "{key}"|' \
    -e 's/^port = .*/port = {port}/' -e 's/^ops_port = .*/ops_port = {ops_port}/' \
    /etc/pingpost/pingpost.toml
"""
# The unit promises each of these; the service has to live with what it may not do.
KEPT_TO_ITS_UNIT = """
shown() {{ systemctl show pingpost --property "$1" --value; }}
ready() {{
    curl --silent --fail --retry 60 --retry-all-errors --retry-delay 1 --output /dev/null \
        http://127.0.0.1:{ops_port}/readyz
    echo "$1: $(shown ActiveState), restarted $(shown NRestarts) times"
}}
echo "enabled: $(systemctl is-enabled pingpost)"
ready started
main=$(shown MainPID)
grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$main/status
echo "account: $(stat --format %U /proc/$main)"
systemctl reload pingpost
ready reloaded
kill -9 "$main"
until [ "$(shown NRestarts)" = 1 ]; do sleep 0.1; done
ready killed
systemctl stop pingpost
echo "stopped: $(shown Result), $(shown ExecMainStatus)"
echo "tracebacks: $(journalctl --unit pingpost | grep -c Traceback || true)"
"""
OF_WHICH_PACKAGES = """
for module in $(grep -ho 'loadmodule "[a-z_]*' /etc/kamailio/pingpost/*.cfg | cut -d '"' -f 2); do
    echo "package $(dpkg -S "*/kamailio/modules/$module.so" | cut -d : -f 1)"
done
"""


def commands_of(page: str) -> list[str]:
    """The blocks of a page that this file runs."""
    return [block.text for block in blocks_run_by(__file__) if block.page == ROOT / "docs" / page]


def test_every_block_that_names_this_file_is_of_a_page_below() -> None:
    pages = {block.page.name for block in blocks_run_by(__file__)}
    assert pages == {"kamailio.md", "deployment.md"}


def test_kamailio_is_installed_checked_started_and_asked_as_its_page_says(
    tmp_path: Path, server: tuple[str, str], report: Report
) -> None:
    program("kamailio")
    install, check_and_start, ask = commands_of("kamailio.md")
    said = run_in_a_copy(
        tmp_path,
        "\n".join(
            (
                install,
                SETTINGS_OF_KAMAILIO.format(port=free_udp_port()),
                check_and_start,
                # Its unit says that it runs once it was forked.
                "until kamcmd core.uptime >/dev/null 2>&1; do sleep 0.1; done",
                ask,
                OF_WHICH_PACKAGES,
            )
        ),
        {
            "PATH": f"{ROOT / '.venv' / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PINGPOST_DSN": f"postgresql://pingpost@{server[1]}/pingpost",
            "PINGPOST_SECRET_KEY": new_key(),
        },
        within_s=120,
    )
    report.equal("a token", True, re.search(r"^pp_\w+", said, re.MULTILINE) is not None)
    asked = set(install.splitlines()[0].split()[2:])
    used = set(re.findall(r"^package (\S+)$", said, re.MULTILINE))
    report.equal("packages of the modules", asked, used)


def test_the_service_is_installed_and_started_by_systemd_as_its_page_says(
    tmp_path: Path, server: tuple[str, str], short: bool, report: Report
) -> None:
    if short:
        pytest.skip("a minute of installing packages: in the long form only")
    program("systemd-analyze")
    install, start = commands_of("deployment.md")
    port, ops_port = free_port(), free_port()
    dsn = f"postgresql://pingpost@{server[1]}/pingpost"
    settings = {"dsn": dsn, "key": new_key(), "port": port, "ops_port": ops_port}
    said = run_in_a_copy(
        tmp_path,
        "\n".join(
            (
                install,
                SETTINGS_OF_THE_SERVICE.format(**settings),
                start,
                KEPT_TO_ITS_UNIT.format(ops_port=ops_port),
            )
        ),
        {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": ""},
        within_s=600,
    )
    wanted = {
        "enabled": "enabled",
        "started": "active, restarted 0 times",
        "CapEff": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "account": "pingpost",
        "reloaded": "active, restarted 0 times",
        "killed": "active, restarted 1 times",
        "stopped": "success, 0",
        "tracebacks": "0",
    }
    told = dict(re.findall(r"^(\w+):\s+(.+)$", said, re.MULTILINE))
    report.equal("what systemd says of it", wanted, {name: told.get(name) for name in wanted})
