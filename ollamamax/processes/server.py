"""Serves an ASGI application with the server that OLLAMAMAX_ASGI_SERVER names. Knows no Django."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

from ollamamax.env import Environment

GRACE_SECONDS = 20
"""How long streams may go on after SIGTERM before they are cut."""
BACKLOG = 2048


def serve(application: Any, env: Environment, port: int, *, shared: bool = False) -> None:
    """Returns after SIGTERM or SIGINT. ``shared``: other processes listen on the same port, and the system divides the
    connections among them."""
    server = {"uvicorn": _uvicorn, "daphne": _daphne, "granian": _granian}[env["OLLAMAMAX_ASGI_SERVER"]]
    server(application, env, port, shared)


def _listen(host: str, port: int, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(address)
    return listening


def _uvicorn(application: Any, env: Environment, port: int, shared: bool) -> None:
    import uvicorn

    from ollamamax.processes.uvicorn_http import Http

    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=Http,
        ws="wsproto",
        lifespan="on",
        ssl_certfile=env["OLLAMAMAX_TLS_CERT"] or None,
        ssl_keyfile=env["OLLAMAMAX_TLS_KEY"] or None,
        proxy_headers=env["OLLAMAMAX_TLS_PROXY"],
        forwarded_allow_ips=env["OLLAMAMAX_PROXY_ADDRESSES"],
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=75,
        backlog=BACKLOG,
    )
    uvicorn.Server(config).run(sockets=[_listen(env["HOST"], port, shared)])


def _daphne(application: Any, env: Environment, port: int, shared: bool) -> None:
    # It cannot share a port, and the settings say so (`ollamamax.env`).
    del shared
    from daphne.endpoints import build_endpoint_description_strings
    from daphne.server import Server
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    cert, key = env["OLLAMAMAX_TLS_CERT"], env["OLLAMAMAX_TLS_KEY"]
    if cert:
        address = env["HOST"].replace(":", r"\:")
        endpoints = [f"ssl:{port}:privateKey={key}:certKey={cert}:interface={address}"]
    else:
        endpoints = build_endpoint_description_strings(host=env["HOST"], port=port)
    if env["OLLAMAMAX_TLS_PROXY"]:
        # Daphne's own way takes the first name in the header, which the client wrote, and from whoever connects.
        application = ProxyHeadersMiddleware(application, trusted_hosts=env["OLLAMAMAX_PROXY_ADDRESSES"])
    Server(
        application,
        endpoints=endpoints,
        server_name="",
        application_close_timeout=GRACE_SECONDS,
        verbosity=0,
    ).run()


def _granian(application: Any, env: Environment, port: int, shared: bool) -> None:
    # It makes its sockets itself, and shares its port always.
    del shared
    import uvloop
    from granian.constants import Interfaces, SSLProtocols
    from granian.server.embed import Server
    from granian.utils.proxies import wrap_asgi_with_proxy_headers

    cert, key = env["OLLAMAMAX_TLS_CERT"], env["OLLAMAMAX_TLS_KEY"]
    if env["OLLAMAMAX_TLS_PROXY"]:
        application = wrap_asgi_with_proxy_headers(application, trusted_hosts=env["OLLAMAMAX_PROXY_ADDRESSES"])

    async def run() -> None:
        server = Server(
            application,
            socket.gethostbyname(env["HOST"]) if ":" not in env["HOST"] else env["HOST"],
            port,
            interface=Interfaces.ASGI,
            backlog=BACKLOG,
            log_enabled=False,
            ssl_cert=Path(cert) if cert else None,
            ssl_key=Path(key) if key else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        serving = asyncio.create_task(server.serve())
        telling = asyncio.create_task(told.wait())
        await asyncio.wait({serving, telling}, return_when=asyncio.FIRST_COMPLETED)
        server.stop()  # type: ignore[no-untyped-call]
        # It has no limit of its own to how long streams may go on.
        await asyncio.wait({serving}, timeout=GRACE_SECONDS)
        if serving.done():
            serving.result()

    uvloop.run(run())
