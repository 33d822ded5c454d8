"""``pingpost serve`` from start to end: signals, restarts, which marketplace it takes."""

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from config.secret_box import new_key
from tests.eventually import eventually
from tests.service_process import ServiceProcess, a_service, a_switch, free_port

STATIC = """
campaigns:
  - {{id: auto, name: Auto, numbers: ["+18005550100"]}}
buyers:
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: "{price}"
"""


def a_file(folder: Path, name: str = "marketplace.yaml", price: str = "18.00") -> Path:
    path = folder / name
    path.write_text(STATIC.format(price=price))
    return path


async def _pingpost(service: ServiceProcess, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auction", *arguments, "--data-dir", str(service.data_dir)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_sigterm_ends_the_service_with_0_and_its_answers_survive(tmp_path: Path) -> None:
    arguments = ("--marketplace", str(a_file(tmp_path)))
    async with a_service(tmp_path / "data", *arguments) as service, a_switch() as switch:
        assert service.process is not None
        service.process.send_signal(signal.SIGHUP)  # as a reload would, with no worker to restart
        before = await switch.route(service, call_id="c-1", campaign="auto")
        began = asyncio.get_running_loop().time()
        assert await service.stop() == 0
        assert asyncio.get_running_loop().time() - began < 10
        await service.start()
        assert await switch.route(service, call_id="c-1", campaign="auto") == before


def _hear_all(ear: socket.socket) -> None:
    """Raises TimeoutError once nothing more comes."""
    while ear.recv(64):
        pass


async def test_a_supervisor_is_told_of_the_start_each_beat_and_the_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        async with a_service(tmp_path / "data", environment=environment) as service:
            assert await asyncio.to_thread(ear.recv, 64) == b"READY=1"
            assert await asyncio.to_thread(ear.recv, 64) == b"WATCHDOG=1"
            assert service.process is not None
            service.process.send_signal(signal.SIGSTOP)
            ear.settimeout(1)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(_hear_all, ear)
            service.process.send_signal(signal.SIGCONT)
            ear.settimeout(20)
            assert await asyncio.to_thread(ear.recv, 64) == b"WATCHDOG=1"
            assert await service.stop() == 0
            told = b""
            while told != b"STOPPING=1":
                told = await asyncio.to_thread(ear.recv, 64)


async def test_sigterm_answers_a_call_in_flight(tmp_path: Path) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError):
            # Connections opened ahead ask nothing.
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await asyncio.sleep(0.4)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
        writer.close()

    asked = asyncio.Event()
    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    path = a_file(tmp_path)
    path.write_text(
        path.read_text()
        + f"""
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        ping_post: {{minimum_bid: 1, ping: {{url: "http://127.0.0.1:{port}/", timeout_ms: 1000}}}}
"""
    )
    async with (
        server,
        a_service(tmp_path / "data", "--marketplace", str(path)) as service,
        a_switch() as switch,
    ):
        routing = asyncio.create_task(switch.route(service, call_id="c-1", campaign="auto"))
        await asked.wait()
        stopping = asyncio.create_task(service.stop())
        assert (await routing)["offer"] == "cobalt-auto"
        assert await stopping == 0


async def test_a_marketplace_changed_by_other_means_is_not_overwritten(tmp_path: Path) -> None:
    first = a_file(tmp_path)
    other = a_file(tmp_path, "other.yaml", "19.00")
    async with a_service(tmp_path / "data", "--marketplace", str(first)) as service:
        code, output = await _pingpost(service, "apply", str(other))
        assert (code, "revision 2" in output) == (0, True)
        await service.stop()
        await service.launch()
        assert service.process is not None
        assert await service.process.wait() == 1
        assert "pingpost apply" in service.log


async def test_an_edited_file_is_loaded_again_at_the_next_start(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    async with a_service(tmp_path / "data", "--marketplace", str(path)) as service:
        await service.stop()
        a_file(tmp_path, price="21.50")
        await service.start()
        async with a_switch() as switch:
            decision = await switch.route(service, call_id="c-1", campaign="auto")
    assert decision["price"] == "21.50"


async def test_an_applied_file_is_in_force_within_a_second_and_exports_as_it_was(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path / "data", "--marketplace", str(a_file(tmp_path))) as service:
        code, _ = await _pingpost(service, "apply", str(a_file(tmp_path, "new.yaml", "25.00")))
        assert code == 0
        async with a_switch() as switch, asyncio.timeout(1.0):
            number, price = 0, ""
            while price != "25.00":
                number += 1
                decision = await switch.route(service, call_id=f"c-{number}", campaign="auto")
                price = decision["price"]
        code, exported = await _pingpost(service, "export")
        assert code == 0
        (tmp_path / "export.yaml").write_text(exported)
        code, output = await _pingpost(service, "apply", str(tmp_path / "export.yaml"))
        assert (code, "nothing changed" in output) == (0, True)


async def test_apply_shows_what_changes_and_undoes_nothing_unless_it_is_forced(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path / "data", "--marketplace", str(a_file(tmp_path))) as service:
        await _pingpost(service, "apply", str(a_file(tmp_path, "new.yaml", "25.00")))
        old = a_file(tmp_path, "old.yaml", "26.00")
        old.write_text(f"revision: 1\n{old.read_text()}")
        code, output = await _pingpost(service, "apply", str(old))
        assert (code, "exported from revision 1" in output) == (1, True)
        code, output = await _pingpost(service, "apply", "--dry-run", "--force", str(old))
        assert code == 0
        assert '~ offer cobalt-auto of cobalt: static_price "25.00" -> "26.00"' in output
        assert "nothing was changed, revision 2 is in force" in output


async def test_a_token_made_while_the_service_runs_opens_it(tmp_path: Path) -> None:
    async with a_service(tmp_path / "data", "--marketplace", str(a_file(tmp_path))) as service:
        code, output = await _pingpost(service, "token", "create", "--name", "s", "--scope", "read")
        assert code == 0
        headers = {"X-API-Key": output.strip()}
        async with aiohttp.ClientSession(headers=headers) as session:
            url = f"{service.url}/v1/calls/nobody"
            assert await eventually(lambda: _is_known(session, url), within_s=2.0)
            async with session.post(f"{service.url}/v1/calls", json={}) as response:
                assert response.status == 403
        assert output.strip() not in service.log


async def _is_known(session: aiohttp.ClientSession, url: str) -> bool:
    async with session.get(url) as response:
        assert response.status in {401, 404}
        return response.status == 404


@pytest.mark.parametrize(
    ("environment", "arguments", "told"),
    [
        ({"PINGPOST_DSN": "postgresql://localhost/x"}, (), "PINGPOST_SECRET_KEY"),
        ({"PINGPOST_PORT": "many"}, (), "PINGPOST_PORT"),
        ({}, ("--workers", "0"), "--workers"),
        ({"PINGPOST_OUTBOUND_ALLOW": "home"}, (), "PINGPOST_OUTBOUND_ALLOW"),
    ],
)
async def test_a_wrong_setting_is_told_by_its_name(
    tmp_path: Path, environment: dict[str, str], arguments: tuple[str, ...], told: str
) -> None:
    service = ServiceProcess(tmp_path / "data", free_port(), free_port(), arguments, environment)
    if "PINGPOST_PORT" in environment:
        service.port_flags = False
    await service.launch()
    assert service.process is not None
    assert await service.process.wait() != 0
    assert told in service.log


async def test_while_draining_the_ops_port_says_so_and_the_end_comes_in_time(
    tmp_path: Path,
) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError):
            # Connections opened ahead ask nothing.
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await asyncio.sleep(60)
        writer.close()

    asked = asyncio.Event()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    path = a_file(tmp_path)
    path.write_text(
        path.read_text().replace("name: Auto,", "name: Auto, auction: {budget_ms: 30000},")
        + f"""
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        ping_post: {{minimum_bid: 1, ping: {{url: "{url}", timeout_ms: 25000}}}}
"""
    )
    async with (
        a_service(tmp_path / "data", "--marketplace", str(path)) as service,
        a_switch() as switch,
        aiohttp.ClientSession() as operator,
    ):
        routing = asyncio.create_task(
            switch.route(service, call_id="c-1", campaign="auto", timeout_ms=30000)
        )
        await asked.wait()
        began = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(service.stop())
        assert await eventually(lambda: _is_draining(operator, service))
        assert await stopping == 0
        assert asyncio.get_running_loop().time() - began < 10
        with pytest.raises(aiohttp.ClientError):
            await routing
    server.close()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_after_sigterm_calls_are_taken_until_a_load_balancer_had_time_to_notice(
    tmp_path: Path, dsn: str, workers: str
) -> None:
    environment = {
        "PINGPOST_DSN": dsn,
        "PINGPOST_SECRET_KEY": new_key(),
        "PINGPOST_DRAIN_NOTICE_S": "4",
    }
    arguments = ("--workers", workers, "--marketplace", str(a_file(tmp_path)))
    async with (
        a_service(tmp_path / "data", *arguments, environment=environment) as service,
        a_switch() as switch,
        aiohttp.ClientSession() as operator,
    ):
        began = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(service.stop())
        assert await eventually(lambda: _is_draining(operator, service))
        late = await switch.route(service, call_id="late", campaign="auto", timeout_ms=3000)
        assert late["call_id"] == "late"
        assert await stopping == 0
        assert asyncio.get_running_loop().time() - began > 4
        with pytest.raises(aiohttp.ClientError):
            await switch.route(service, call_id="too late", campaign="auto")


async def _is_draining(session: aiohttp.ClientSession, service: ServiceProcess) -> bool:
    async with session.get(f"{service.ops_url}/readyz") as response:
        checks: dict[str, str] = (await response.json())["checks"]
        return checks["draining"] != "ok"
