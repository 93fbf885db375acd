"""Serves an ASGI application with the server that OLLAMAMAX_ASGI_SERVER names. Knows no Django."""

from __future__ import annotations

import socket
from typing import Any

from ollamamax.env import Environment
from ollamamax.processes.door.connections import Connections, most_connections
from ollamamax.processes.door.forwarded import behind_proxy
from ollamamax.processes.door.meter import WireBounds
from ollamamax.processes.leaving import Leaving, unready

GRACE_SECONDS = 20
"""How long after SIGTERM running requests may go on before they are cut."""
BACKLOG = 4096
MOST_MESSAGE = 64 << 10
"""Bytes of one message that comes over a WebSocket: a page sends none."""


_FILES = (b"/v1/files", b"/api/blobs/", b"/v2/")


def serve(application: Any, env: Environment, port: int, *, shared: bool = False) -> None:
    """Returns after SIGTERM or SIGINT. ``shared``: other processes listen on the same port, and the system divides the
    connections among them."""
    proxies = env["OLLAMAMAX_PROXY_ADDRESSES"] if env["OLLAMAMAX_TLS_PROXY"] else []
    of_address = env["OLLAMAMAX_CONNECTIONS_PER_ADDRESS"]
    if proxies:
        application = behind_proxy(application, proxies, of_address)
    leaving = Leaving(env["OLLAMAMAX_LEAVE_SECONDS"], GRACE_SECONDS)
    application = unready(application, leaving)
    connections = Connections(most_connections(env["OLLAMAMAX_CONNECTIONS"]), of_address, frozenset(proxies))
    server = {"uvicorn": _uvicorn, "daphne": _daphne}[env["OLLAMAMAX_ASGI_SERVER"]]
    server(application, env, port, shared, connections, leaving)


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


def _uvicorn(
    application: Any, env: Environment, port: int, shared: bool, connections: Connections, leaving: Leaving
) -> None:
    import uvicorn

    from ollamamax.processes.door.on_uvicorn import Door, protocols
    from ollamamax.processes.uvicorn_server import Server

    door = Door(WireBounds.of(env), connections, leaving)
    http, websocket = protocols(door)
    config = uvicorn.Config(
        application,
        interface="asgi3",
        loop="uvloop",
        http=http,
        ws=websocket,
        ws_max_size=MOST_MESSAGE,
        lifespan="on",
        ssl_certfile=env["OLLAMAMAX_TLS_CERT"] or None,
        ssl_keyfile=env["OLLAMAMAX_TLS_KEY"] or None,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=75,
        backlog=BACKLOG,
    )
    Server(config, door, _listen(env["HOST"], port, shared)).run_here()


def _daphne(
    application: Any, env: Environment, port: int, shared: bool, connections: Connections, leaving: Leaving
) -> None:
    # It cannot share a port, and the settings say so (`ollamamax.env`).
    del shared
    from daphne.endpoints import build_endpoint_description_strings

    from ollamamax.processes.door.on_daphne import DoorServer

    cert, key = env["OLLAMAMAX_TLS_CERT"], env["OLLAMAMAX_TLS_KEY"]
    if cert:
        address = env["HOST"].replace(":", r"\:")
        endpoints = [f"ssl:{port}:privateKey={key}:certKey={cert}:interface={address}"]
    else:
        endpoints = build_endpoint_description_strings(host=env["HOST"], port=port)
    most_body, most_file = env["OLLAMAMAX_MAX_BODY_BYTES"], env["OLLAMAMAX_MAX_FILE_BYTES"]
    DoorServer(
        application,
        endpoints=endpoints,
        server_name="",
        application_close_timeout=GRACE_SECONDS,
        websocket_max_message_size=MOST_MESSAGE,
        websocket_max_frame_size=MOST_MESSAGE,
        verbosity=0,
        bounds=WireBounds.of(env),
        connections=connections,
        leaving=leaving,
        most_body=lambda path: max(most_body, most_file) if path.startswith(_FILES) else most_body,
    ).run()
