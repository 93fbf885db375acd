"""Where Prometheus asks a process: a listener of its own, and a file that says where it is. In a thread, so that every kind of process has the same."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ollamamax import logs
from ollamamax.observability.exposition import Page

PATH = "/metrics"
NEXT_PORTS = 64
"""So many ports from the one that is set on are tried: the processes of a host that share a setting take one each."""
_AT_ONCE = 8
_PATIENCE = 5.0
"""Seconds that a client may take to ask."""
_log = logs.get(__name__)


class MetricsListener:
    """Serves ``page`` at an address (``port`` 0: any free one) until it is stopped. ``folder``: where it is announced.

    Raises `OSError` when no port can be had.
    """

    def __init__(self, page: Page, host: str, port: int, folder: Path | None = None) -> None:
        self._server = _listen(page, host, port)
        self.address = (host, int(self._server.server_address[1]))
        self._file = None if folder is None else _announce(folder, page.process, self.address)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.5,), name="metrics", daemon=True)
        self._thread.start()
        _log.info("metrics_served", host=self.address[0], port=self.address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self._file is not None:
            self._file.unlink(missing_ok=True)


def _listen(page: Page, host: str, port: int) -> _Server:
    for tried in range(port, min(65536, port + NEXT_PORTS) if port else 1):
        try:
            return _Server(page, host, tried)
        except OSError as error:
            problem = error
    raise problem


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, page: Page, host: str, port: int) -> None:
        self.page = page
        self.host = host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__((host, port), _Answer)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left, or sent what is no HTTP: nothing to tell."""


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    protocol_version = "HTTP/1.0"
    server_version, sys_version = "ollamamax", ""

    def do_GET(self) -> None:
        page = self.server.page
        if self.path.split("?", 1)[0] != PATH:
            self._tell(404, b"", "text/plain")
        elif not page.takes(self.headers.get("authorization")):
            self._tell(401, b"", "text/plain", ("www-authenticate", "Bearer"))
        elif not page.token and not _is_own(self.headers.get("host"), self.server.host):
            # A page in a browser of this machine that was led here by a name of its own.
            self._tell(421, b"", "text/plain")
        else:
            self._tell(200, *page.render(self.headers.get("accept")))

    def _tell(self, status: int, body: bytes, content_type: str, *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("content-type", content_type), ("content-length", str(len(body))), *more):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Nothing: one line for each scrape tells nothing."""


def _is_own(asked: str | None, host: str) -> bool:
    """Whether a client that names no token named this machine as its own programs do: by an address, or as localhost."""
    name = (asked or "").rsplit(":", 1)[0] if "]" not in (asked or "") else (asked or "").split("]")[0].lstrip("[")
    if name in {"localhost", host}:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _announce(folder: Path, process: str, address: tuple[str, int]) -> Path | None:
    """Write where it is, as Prometheus' file-based discovery reads it; take away what processes left that are gone."""
    host, port = address
    told = [{"targets": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"], "labels": {"process": process}}]
    file = folder / f"{process}-{os.getpid()}.json"
    half = file.with_suffix(".half")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in _left(folder):
            left.unlink(missing_ok=True)
        half.write_text(json.dumps(told))
        half.replace(file)
    except OSError as error:
        _log.warning("metrics_not_announced", folder=str(folder), error=str(error))
        return None
    return file


def _left(folder: Path) -> Iterator[Path]:
    for file in folder.glob("*-*.json"):
        with contextlib.suppress(ValueError):
            number = int(file.stem.rpartition("-")[2])
            try:
                os.kill(number, 0)
            except ProcessLookupError:
                yield file
            except PermissionError:
                continue
