"""How each comparator comes to life: what it needs, how it is built, how it is started."""

import getpass
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.peers.comparator import OURS_BARE, Comparator, Place, UnavailableError
from benchmarks.peers.toolchains import find_program, need_libraries, need_version, run_tool

SERVERS: Final = Path(__file__).parent / "servers"

_GO_WITH_METHOD_PATTERNS: Final = (1, 22, 0)
_NODE_FOR_UNDICI: Final = (20, 18, 1)
_NPM_OPTIONS: Final = (
    *("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"),
)
"""What is in npm's cache needs no network; where there is none, that is told soon."""

_NGINX_MODULES: Final = ("ndk_http_module.so", "ngx_http_lua_module.so")
_MODULE_FOLDERS: Final = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules")


def python_server(
    module: str, libraries: Sequence[str]
) -> Callable[[Place], Awaitable[Sequence[str]]]:
    """A server that is a module here and needs ``libraries``."""

    async def build(_place: Place) -> Sequence[str]:
        need_libraries(libraries)
        return sys.executable, "-m", f"benchmarks.peers.servers.{module}"

    return build


async def go_server(place: Place) -> Sequence[str]:
    """One file of the standard library, compiled."""
    go = find_program("go")
    need_version("go", await run_tool((go, "version")), _GO_WITH_METHOD_PATTERNS)
    shutil.copy(SERVERS / "go_standard.go", place.folder)
    # Without a go.mod the language and its runtime are as new as the toolchain.
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    command = (go, "build", "-o", "peer", "go_standard.go")
    await run_tool(command, folder=place.folder, environment=environment)
    return (str(place.folder / "peer"),)


async def node_server(place: Place) -> Sequence[str]:
    """One file, with undici as its lock has it."""
    node, npm = find_program("node"), find_program("npm")
    need_version("node", await run_tool((node, "--version")), _NODE_FOR_UNDICI)
    for file in (SERVERS / "node").iterdir():
        shutil.copy(file, place.folder)
    await run_tool((npm, "ci", *_NPM_OPTIONS), folder=place.folder)
    return node, str(place.folder / "node_undici.mjs")


async def nginx_server(place: Place) -> Sequence[str]:
    """nginx with the Lua module, one worker, in a folder of its own."""
    nginx = find_program("nginx")
    modules = _lua_modules(await run_tool((nginx, "-V")))
    template = (SERVERS / "nginx" / "nginx.conf").read_text(encoding="utf-8")
    filled = {
        "MODULES": "\n".join(f"load_module {module};" for module in modules),
        # A master that runs as root would give its worker to a user who can't read the folder.
        "USER": f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        "FOLDER": str(place.folder),
        "PORT": str(place.port),
    }
    text = re.sub("@([A-Z]+)@", lambda found: filled.get(found[1], found[0]), template)
    (place.folder / "nginx.conf").write_text(text, encoding="utf-8")
    shutil.copy(SERVERS / "nginx" / "auction.lua", place.folder)
    return nginx, "-p", str(place.folder), "-c", "nginx.conf"


def _lua_modules(built_with: str) -> Sequence[Path]:
    """The modules to load: none where Lua is compiled in. Raises UnavailableError."""
    if re.search(r"--add-module=\S*ngx_lua", built_with):
        return ()
    told = re.findall(r"--modules-path=(\S+)", built_with)
    for folder in told or _MODULE_FOLDERS:
        files = [Path(folder, name) for name in _NGINX_MODULES]
        if all(file.exists() for file in files):
            return files
    raise UnavailableError("nginx is there, but not its Lua module (lua-nginx-module)")


COMPARATORS: Final = (
    Comparator(
        "fastapi-httpx",
        "FastAPI + httpx",
        python_server("fastapi_httpx", ("fastapi", "httpx", "uvicorn", "uvloop", "httptools")),
    ),
    Comparator(
        "aiohttp",
        "aiohttp + aiohttp client",
        python_server("aiohttp_client", ("aiohttp", "orjson", "uvloop")),
    ),
    Comparator("node-undici", "Node + undici", node_server),
    Comparator("go", "Go standard library", go_server, {"GOMAXPROCS": "1"}),
    Comparator("nginx-lua", "nginx + lua", nginx_server),
    Comparator(
        OURS_BARE,
        "ours, bare fan-out",
        python_server("native_fanout", ("aiohttp", "orjson", "uvloop")),
    ),
)
