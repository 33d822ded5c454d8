"""Kubernetes of one node with all its parts, in namespaces of its own, which end with it."""

import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.apart import apart
from tests.e2e.network import a_namespace, own_control_groups
from tests.e2e.programs import program, tool
from tests.e2e.shell import shell
from tests.eventually import eventually

SETTINGS = Path(__file__).parent / "kubernetes"
PODS, SERVICES = "10.250.0.0/16", "10.251.0.0/24"
"""The networks of ``kubernetes/start`` and ``kubernetes/pods.conflist``."""

START_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """One that runs: its pods and services are reached from here, and find us at ``here``."""

    folder: Path
    here: str

    async def run(self, commands: str, folder: Path | None = None) -> str:
        """What shell commands print, run in ``folder`` with this cluster as kubectl's."""
        return await shell(commands, folder or self.folder, self.environment)

    async def take_image(self, archive: Path) -> None:
        """Have the images of an archive at hand, as if they had been pulled."""
        address = self.folder / "containerd.sock"
        await self.run(f"ctr --address {address} --namespace k8s.io images import {archive}")

    async def is_ready(self) -> bool:
        """Whether pods can be made, and talked to: its node is ready and has an address."""
        said = await self.run("kubectl wait --for condition=Ready --timeout 1s node/node")
        return "condition met" in said and "default" in await self.run("kubectl get namespaces")

    async def learns(self, definition: str) -> None:
        """Have it know another kind of objects, of those that are kept beside its settings."""
        await self.run(
            f"kubectl create -f {SETTINGS / definition}\n"
            "kubectl wait --for condition=Established --timeout 60s crd --all"
        )

    @property
    def environment(self) -> dict[str, str]:
        """Where kubectl finds it."""
        return {"KUBECONFIG": str(self.folder / "kubeconfig.yaml")}


@asynccontextmanager
async def a_cluster(folder: Path) -> AsyncIterator[Cluster]:
    """A cluster whose pods need nothing but their images, and that of their pauses."""
    for each in ("containerd", "kubectl"):
        program(each)
    kubernetes = tool("kubernetes")
    async with (
        own_control_groups("kubepods"),
        a_namespace("kube", 10) as (namespace, address, here),
    ):
        cluster = Cluster(folder, here)
        _write_settings(folder, address)
        for network in (PODS, SERVICES):
            await cluster.run(f"ip route add {network} via {address}")
        start = (SETTINGS / "start", kubernetes, address)
        try:
            async with apart(namespace, start, folder / "start.log", cluster.environment):
                await eventually(cluster.is_ready, within_s=START_WITHIN_S, every_s=0.5)
                yield cluster
        except BaseException as error:
            error.add_note(_last_words(folder))
            raise
        finally:
            await eventually(lambda: _is_removed(folder), within_s=30, every_s=0.5)


def _last_words(folder: Path) -> str:
    """Of each part, the last that it said."""
    told = ((log.stem, log.read_text(errors="replace")[-500:]) for log in folder.glob("*.log"))
    return "\n".join(f"{name}: {words}" for name, words in told)


def _is_removed(folder: Path) -> bool:
    """Whether what it kept is gone, most of a gigabyte; its processes end a moment later."""
    for each in ("containerd", "containerd-state", "etcd"):
        shutil.rmtree(folder / each, ignore_errors=True)
    return not (folder / "containerd").exists()


def _write_settings(folder: Path, address: str) -> None:
    told = {"folder": folder, "address": address, "token": secrets.token_urlsafe()}
    for file in SETTINGS.iterdir():
        if file.suffix in {".yaml", ".toml", ".csv"}:
            (folder / file.name).write_text(Template(file.read_text()).substitute(told))
    (folder / "cni").mkdir()
    (folder / "cni" / "pods.conflist").write_bytes((SETTINGS / "pods.conflist").read_bytes())
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    (folder / "accounts.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
