"""``python -m ollamamax.processes.healthy``: exit code 0 when the process of this container answers, for Docker's HEALTHCHECK.

A web process or gateway answers on its own port. Controller and batches serve nothing: what is asked is whether the
first process of the container is there.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from pathlib import Path

from ollamamax import env
from ollamamax.processes.gateway import NOT_NEEDED

PORTS = {"web": "PORT", "gateway": "OLLAMAMAX_GATEWAY_PORT"}


def main() -> None:
    sys.exit(0 if is_healthy(_command(Path("/proc/1/cmdline")), env.read(without=NOT_NEEDED)) else 1)


def is_healthy(command: str, read: env.Environment) -> bool:
    """``command``: which one of `ollamamax` this container runs."""
    if command not in PORTS:
        return True
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(read["HOST"], read["HOST"])  # noqa: S104 - where it listens
    port = read[PORTS[command]]
    connection: http.client.HTTPConnection
    if read["OLLAMAMAX_TLS_CERT"]:
        # The certificate is for the public name, and only this very process is asked.
        connection = http.client.HTTPSConnection(host, port, timeout=4, context=ssl._create_unverified_context())  # noqa: S323
    else:
        connection = http.client.HTTPConnection(host, port, timeout=4)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _command(of_first: Path) -> str:
    words = of_first.read_bytes().decode(errors="replace").split("\0")
    return next((word for word in words if word in {"web", "gateway", "controller", "batches"}), "web")


if __name__ == "__main__":
    main()
