"""What a comparator needs is found, or named as missing."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.peers import builds, toolchains
from benchmarks.peers.comparator import Place, UnavailableError
from benchmarks.peers.toolchains import (
    find_program,
    first_complaint,
    last_complaint,
    need_version,
    run_tool,
)

Build = Callable[[Place], Awaitable[Sequence[str]]]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found; empty at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(toolchains, "_USUAL_PLACES", ())
    return folder


def install(folder: Path, name: str, says: str) -> None:
    """A program that says one thing."""
    program = folder / name
    program.write_text(f"#!{sys.executable}\nprint({says!r})\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("build", "missing"),
    [
        (builds.go_server, "go is not installed"),
        (builds.node_server, "node is not installed"),
        (builds.nginx_server, "nginx is not installed"),
        (builds.python_server("aiohttp_client", ("aiohttp", "no_such_library")), "no_such_library"),
    ],
)
@pytest.mark.usefixtures("programs")
async def test_what_is_missing_is_named(build: Build, missing: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=missing):
        await build(Place(tmp_path, 1))


async def test_node_without_npm_names_npm(programs: Path, tmp_path: Path) -> None:
    install(programs, "node", "v22.1.0")
    with pytest.raises(UnavailableError, match="npm is not installed"):
        await builds.node_server(Place(tmp_path, 1))


async def test_a_go_that_is_too_old_is_named_with_its_version(
    programs: Path, tmp_path: Path
) -> None:
    install(programs, "go", "go version go1.19.8 linux/amd64")
    with pytest.raises(UnavailableError, match=r"go 1\.19\.8 is too old, 1\.22\.0 is needed"):
        await builds.go_server(Place(tmp_path, 1))


async def test_an_nginx_without_the_lua_module_is_named(programs: Path, tmp_path: Path) -> None:
    install(programs, "nginx", f"configure arguments: --modules-path={tmp_path}")
    with pytest.raises(UnavailableError, match="not its Lua module"):
        await builds.nginx_server(Place(tmp_path, 1))


async def test_nginx_is_configured_for_its_folder_its_port_and_its_modules(
    programs: Path, tmp_path: Path
) -> None:
    install(programs, "nginx", f"configure arguments: --modules-path={tmp_path}")
    for module in ("ndk_http_module.so", "ngx_http_lua_module.so"):
        (tmp_path / module).touch()
    command = await builds.nginx_server(Place(tmp_path, 4711))
    text = (tmp_path / "nginx.conf").read_text()
    assert command == (str(programs / "nginx"), "-p", str(tmp_path), "-c", "nginx.conf")
    assert f"load_module {tmp_path}/ngx_http_lua_module.so;" in text
    assert "listen 127.0.0.1:4711;" in text
    assert "@" not in text


async def test_an_nginx_with_lua_compiled_in_loads_no_module(
    programs: Path, tmp_path: Path
) -> None:
    install(programs, "nginx", "configure arguments: --add-module=../ngx_lua-0.10.26")
    await builds.nginx_server(Place(tmp_path, 4711))
    assert "load_module" not in (tmp_path / "nginx.conf").read_text()


def test_programs_outside_of_path_are_found_in_the_usual_places(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "usual"
    elsewhere.mkdir()
    install(elsewhere, "go", "go")
    monkeypatch.setattr(toolchains, "_USUAL_PLACES", (str(programs), str(elsewhere)))
    assert find_program("go") == str(elsewhere / "go")


@pytest.mark.parametrize("said", ["v20.18.1", "node 20.19", "v22.0.0"])
def test_a_version_that_is_new_enough_passes(said: str) -> None:
    need_version("node", said, (20, 18, 1))


@pytest.mark.parametrize("said", ["v20.18.0", "v9.99.99", "no version at all"])
def test_a_version_that_is_not_does_not(said: str) -> None:
    with pytest.raises(UnavailableError, match="node"):
        need_version("node", said, (20, 18, 1))


async def test_a_tool_that_fails_is_named_with_its_complaint() -> None:
    code = "import sys; print('fetching'); sys.exit('error: no route to the registry')"
    with pytest.raises(UnavailableError, match="failed: error: no route to the registry"):
        await run_tool((sys.executable, "-c", code))


async def test_a_tool_that_hangs_is_ended_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchains, "BUILD_WITHIN_S", 0.05)
    with pytest.raises(UnavailableError, match="took over"):
        await run_tool((sys.executable, "-c", "import time; time.sleep(60)"))


def test_the_telling_line_of_last_words_is_found() -> None:
    node = "file:///x.mjs:1\nReferenceError: no\n    at x.mjs:1\n\nNode.js v20\n"
    assert last_complaint(node) == "ReferenceError: no"
    npm = "npm error code ECONNREFUSED\nnpm error See: 'npm help config'\n"
    assert first_complaint(npm) == "npm error code ECONNREFUSED"
    assert (first_complaint("first\nlast\n"), last_complaint("first\nlast\n")) == ("first", "last")
    assert last_complaint("\n") == "it says nothing"
