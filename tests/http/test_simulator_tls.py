"""Simulated buyers over HTTPS."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from buyers.simulator.script import ScriptError, parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.http.raw_http import PING


def self_signed(folder: Path) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, plain))
    return {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}


async def test_a_buyer_may_listen_with_tls(tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    script = parse_script({"buyers": [{"name": "acme", "tls": tls}]})
    context = ssl.create_default_context(cafile=tls["certificate"])
    async with SimulatedBuyers(script) as buyers, aiohttp.ClientSession() as client:
        url = buyers.url("acme") + "/ping"
        assert url.startswith("https://")
        async with client.post(url, json=PING, ssl=context) as response:
            assert (await response.json())["accepted"] is True


def test_buyers_on_one_port_share_its_tls(tmp_path: Path) -> None:
    east = {"name": "east", "port": 9101, "tls": self_signed(tmp_path)}
    west = {"name": "west", "port": 9101, "ping": {"path": "/w"}, "post": {"path": "/wp"}}
    with pytest.raises(ScriptError, match="west: buyers on one port share its tls"):
        parse_script({"buyers": [east, west]})
