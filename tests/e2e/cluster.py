"""Kubernetes of one node with all its parts, in namespaces of its own, which end with it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.network import a_namespace
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

    async def has_its_node(self) -> bool:
        """Whether it answers, and knows of its node."""
        return "node" in await self.run("kubectl get nodes --output name")

    @property
    def environment(self) -> dict[str, str]:
        """Where kubectl finds it."""
        return {"KUBECONFIG": str(self.folder / "kubeconfig.yaml")}


@asynccontextmanager
async def a_cluster(folder: Path) -> AsyncIterator[Cluster]:
    """A cluster whose node is ready once it has an image for its pods' pauses."""
    for each in ("containerd", "kubectl"):
        program(each)
    nsenter, kubernetes = program("nsenter"), tool("kubernetes")
    async with a_namespace("kube", 10) as (namespace, address, here):
        cluster = Cluster(folder, here)
        _write_settings(folder, address)
        for network in (PODS, SERVICES):
            await cluster.run(f"ip route add {network} via {address}")
        apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        with (folder / "start.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(nsenter, f"--net={namespace}", *apart, SETTINGS / "start", kubernetes, address),
                cwd=folder,
                env={**os.environ, **cluster.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            await eventually(cluster.has_its_node, within_s=START_WITHIN_S, every_s=0.5)
            await cluster.run(f"kubectl create -f {SETTINGS / 'servicemonitors.yaml'}")
            yield cluster
        finally:
            # The first of the namespace's processes: all others go with it.
            process.kill()
            await process.wait()


def _write_settings(folder: Path, address: str) -> None:
    for file in SETTINGS.iterdir():
        if file.suffix in {".yaml", ".toml", ".csv"}:
            text = Template(file.read_text()).substitute(folder=folder, address=address)
            (folder / file.name).write_text(text)
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
