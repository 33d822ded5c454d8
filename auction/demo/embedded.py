"""The real service for the demo: embedded PostgreSQL in its own folder, HTTP on free ports."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

from pydantic import SecretStr

from auction.app import running_service
from auction.demo.service import ServiceHandle, ServiceNeeds
from config.settings import Settings


@asynccontextmanager
async def embedded_service(needs: ServiceNeeds) -> AsyncIterator[ServiceHandle]:
    """Start the service in this process; settings of the environment have no say here."""
    token = secrets.token_urlsafe(24)
    settings = Settings(
        dsn=None,
        data_dir=needs.data_dir,
        host="127.0.0.1",
        port=0,
        ops_port=0,
        workers=1,
        bootstrap_token=SecretStr(token),
        outbound_allow=(ip_network(needs.outbound_allow),),
        secret_key=None,
        migrate=True,
    )
    async with running_service(settings, needs.marketplace) as handle:
        yield handle
