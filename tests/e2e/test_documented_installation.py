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
# What the page and the unit promise, as it is seen from inside the service's own namespaces.
KEPT_TO_ITS_UNIT = """
shown() {{ systemctl show pingpost --property "$1" --value; }}
ready() {{
    until [ "$(shown ActiveState)" = active ]; do sleep 0.1; done
    curl --silent --fail --retry 60 --retry-all-errors --retry-delay 1 --output /dev/null \
        http://127.0.0.1:{ops_port}/readyz
    echo "$1: restarted $(shown NRestarts) times"
}}
inside() {{ nsenter --target "$main" --mount -- "$@"; }}
refused() {{ inside touch "$1" 2>/dev/null && echo "$1: written" || echo "$1: refused"; }}
workers() {{ pgrep --parent "$main" | sort | xargs; }}
echo "enabled: $(systemctl is-enabled pingpost)"
ready started
main=$(shown MainPID)
grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$main/status
[ "$(stat --format %u /proc/$main)" -lt 61184 ] || echo "account: made for it"
for place in /usr/x /etc/x /var/x /opt/pingpost/x; do refused $place; done
echo "files of others: $(inside find /home /root -mindepth 1 | wc -l)"
inside touch /var/lib/pingpost/x
before=$(workers)
systemctl reload pingpost
for worker in $before; do while kill -0 $worker 2>/dev/null; do sleep 0.1; done; done
ready reloaded
echo "workers: $(workers | wc -w)"
kill -9 "$main"
until [ "$(shown NRestarts)" -ge 1 ]; do sleep 0.1; done
ready killed
systemctl stop pingpost
echo "stopped: $(shown Result), $(shown ExecMainStatus)"
journalctl --unit pingpost >journal
echo "said that it is ready: $(grep -c 'Ready on' journal) times"
echo "tracebacks: $(grep -c Traceback journal || true)"
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
        "started": "restarted 0 times",
        "CapEff": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "account": "made for it",
        "/usr/x": "refused",
        "/etc/x": "refused",
        "/var/x": "refused",
        "/opt/pingpost/x": "refused",
        "files of others": "0",
        "reloaded": "restarted 0 times",
        "workers": "2",
        "killed": "restarted 1 times",
        "stopped": "success, 0",
        "said that it is ready": "2 times",
        "tracebacks": "0",
    }
    told = dict(re.findall(r"^([\w/ ]+):\s+(.+)$", said, re.MULTILINE))
    report.equal("what systemd says of it", wanted, {name: told.get(name) for name in wanted})
