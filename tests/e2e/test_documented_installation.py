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

KAMAILIO_UNIT = Path("/lib/systemd/system/kamailio.service")
LEFT_OUT = "Running in chroot, ignoring command"
SETTINGS_OF_KAMAILIO = """
sed -i -e 's/^PINGPOST_TOKEN=.*/PINGPOST_TOKEN=none/' \
    -e 's/^SWITCH_LISTEN=.*/SWITCH_LISTEN=udp:127.0.0.1:{port}/' /etc/default/kamailio
"""
AS_THE_UNIT_STARTS_IT = """
install -d -o kamailio -g kamailio /run/kamailio
setpriv --reuid kamailio --regid kamailio --clear-groups -- {start}
until kamcmd core.uptime >/dev/null 2>&1; do sleep 0.1; done
"""
SETTINGS_OF_THE_SERVICE = """
sed -i -e 's|^dsn = .*|dsn = "{dsn}"|' -e 's|^secret_key = .*|secret_key = "{key}"|' \
    -e 's/^port = .*/port = {port}/' -e 's/^ops_port = .*/ops_port = {ops_port}/' \
    /etc/pingpost/pingpost.toml
"""
# Of what the unit asks of systemd: a copy of the settings, a folder, an account and its home.
AS_ITS_UNIT_STARTS_IT = """
test -L /etc/systemd/system/multi-user.target.wants/pingpost.service
systemd-analyze verify --man=no /etc/systemd/system/pingpost.service
export CREDENTIALS_DIRECTORY=/run/credentials PINGPOST_DATA_DIR=/var/lib/pingpost
export PINGPOST_DRAIN_NOTICE_S=0 HOME=/
install -d -o nobody "$CREDENTIALS_DIRECTORY" "$PINGPOST_DATA_DIR"
install -m 400 -o nobody /etc/pingpost/pingpost.toml "$CREDENTIALS_DIRECTORY/"
cd /
setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs -- {start} &
curl --silent --fail --retry 60 --retry-connrefused --retry-delay 1 http://127.0.0.1:{ops_port}/readyz
kill $!
wait $!
echo "ended with $?"
"""
OF_WHICH_PACKAGES = """
for module in $(grep -ho 'loadmodule "[a-z_]*' /etc/kamailio/pingpost/*.cfg | cut -d '"' -f 2); do
    echo "package $(dpkg -S "*/kamailio/modules/$module.so" | cut -d : -f 1)"
done
"""


def commands_of(page: str) -> list[str]:
    """The blocks of a page that this file runs."""
    return [block.text for block in blocks_run_by(__file__) if block.page == ROOT / "docs" / page]


def started_by(unit: Path) -> str:
    """The command that a unit starts."""
    found = re.search(r"^ExecStart=(.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


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
                AS_THE_UNIT_STARTS_IT.format(start=started_by(KAMAILIO_UNIT)),
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
    report.equal("a token", True, re.search(r"^pp_\w+", said.stdout, re.MULTILINE) is not None)
    report.equal("left to systemd", [f"{LEFT_OUT} 'restart'"], left_out(said.stderr))
    asked = set(install.splitlines()[0].split()[2:])
    used = set(re.findall(r"^package (\S+)$", said.stdout, re.MULTILINE))
    report.equal("packages of the modules", asked, used)


def left_out(errors: str) -> list[str]:
    return re.findall(rf"^{LEFT_OUT} '[\w-]+'", errors, re.MULTILINE)


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
    started = started_by(ROOT / "deploy" / "systemd" / "pingpost.service")
    said = run_in_a_copy(
        tmp_path,
        "\n".join(
            (
                install,
                SETTINGS_OF_THE_SERVICE.format(**settings),
                start,
                AS_ITS_UNIT_STARTS_IT.format(start=started, ops_port=ops_port),
            )
        ),
        {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": ""},
        within_s=600,
    )
    wanted = [f"{LEFT_OUT} '{each}'" for each in ("daemon-reload", "start")]
    report.equal("left to systemd", wanted, left_out(said.stderr))
    report.equal("ready", True, '"status":"ready"' in said.stdout)
    report.equal("ends with 0", True, said.stdout.endswith("ended with 0\n"))
