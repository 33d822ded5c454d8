"""Exits with 0 when the service in this container is ready: its image's health check."""

import http.client
import os
import sys


def is_ready(port: int) -> bool:
    """Whether calls may be sent here."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(os.environ.get("PINGPOST_OPS_PORT") or "9090")) else 1)
