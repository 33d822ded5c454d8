"""Telling systemd how far the service is (``Type=notify``)."""

import logging
import os
import socket
from enum import StrEnum

logger = logging.getLogger(__name__)


class State(StrEnum):
    """What a service manager is told, in the words of ``sd_notify``."""

    READY = "READY=1"
    STOPPING = "STOPPING=1"


def tell_service_manager(state: State) -> None:
    """Say so to whoever has started us and waits for it; nothing happens where nobody does."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # Linux knows names that are in no directory: they begin with a zero byte, written as @.
    path = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(path)
            manager.send(state.encode())
    except OSError as error:
        logger.warning(
            "The service manager can't be told: %s", error, extra={"action": "service_manager"}
        )
