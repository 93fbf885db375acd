"""Bytes of the registry beside nginx: one large blob pulled and pushed, in turns, by the same client over loopback without TLS."""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.product import NotStarted, Product, end, free_port

_PIECE = 1 << 20
_REPOSITORY = "library/measured"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class BlobsSize:
    """How much is measured."""

    bytes: int = 1 << 30
    rounds: int = 5


@dataclass
class BlobsMeasured:
    """Seconds by server, way and round; resident MB of the web process before, and the most of it while blobs passed."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    before: float = 0.0
    most: float = 0.0


def measure(product: Product, size: BlobsSize) -> BlobsMeasured:
    found = BlobsMeasured()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omx-blobs-")))
        file = folder / "blob"
        _fill(file, size.bytes)
        digest = f"sha256:{_digest(file)}"
        port = _nginx(folder, stack)
        theirs = {"Host": "nginx"}
        ours = {"Host": "ollamamax", "Authorization": f"Bearer {product.key}"}
        _publish(product, file, digest)
        web = product.processes["web"]
        found.before = web.memory_info().rss / 1e6
        for turn in range(size.rounds):
            pulls: list[tuple[str, Callable[[], float]]] = [
                ("nginx", lambda: pulled(port, "/blob", theirs, size.bytes)),
                (
                    "ollamamax",
                    lambda: pulled(_port(product.url), f"/v2/{_REPOSITORY}/blobs/{digest}", ours, size.bytes),
                ),
            ]
            for name, act in pulls if turn % 2 else pulls[::-1]:
                os.sync()  # nobody waits for what another has left to be written
                found.seconds.setdefault((name, "pull"), []).append(act())
                found.most = max(found.most, web.memory_info().rss / 1e6)
            # Other bytes each time: what is there already need not be taken.
            _mark(file, turn)
            sent = f"sha256:{_digest(file)}"
            pushes: list[tuple[str, Callable[[], float]]] = [
                ("nginx", lambda: pushed(port, f"/taken/{secrets.token_hex(4)}", theirs, file)),
                ("ollamamax", functools.partial(_push, product, file, sent, ours)),
            ]
            for name, act in pushes if turn % 2 else pushes[::-1]:
                os.sync()
                found.seconds.setdefault((name, "push"), []).append(act())
                found.most = max(found.most, web.memory_info().rss / 1e6)
            shutil.rmtree(folder / "taken", ignore_errors=True)
            (folder / "taken").mkdir(mode=0o777)
            (folder / "taken").chmod(0o777)
    return found


def report(found: BlobsMeasured, size: BlobsSize) -> str:
    lines = [
        f"One blob of {size.bytes / 2**30:g} GiB over loopback, without TLS, {size.rounds} rounds in turns, one client; medians of MB/s (least to most).",
        "",
        "| way | nginx | OllamaMax | ratio of each round, median (least to most) |",
        "|---|---|---|---|",
    ]
    for way in ("pull", "push"):
        theirs, ours = found.seconds["nginx", way], found.seconds["ollamamax", way]
        ratios = [one / other for one, other in zip(theirs, ours, strict=True)]
        cells = [_spread([size.bytes / 1e6 / each for each in seconds], 0) for seconds in (theirs, ours)]
        lines.append(f"| {way} | {cells[0]} | {cells[1]} | {_spread(ratios, 2)} |")
    lines += [
        "",
        f"The web process had {found.before:.0f} MB before, and {found.most:.0f} MB at most after a blob had passed.",
    ]
    return "\n".join(lines)


def _spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def pulled(port: int, path: str, headers: dict[str, str], size: int) -> float:
    """Seconds until all bytes of a GET have come. Raises `ValueError` for another answer than 200, or of another size."""
    buffer = bytearray(_PIECE)
    begin = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(_head("GET", path, headers | {"Connection": "close"}))
        head, rest = _answer(connection)
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(head.decode(errors="replace"))
        got = len(rest)
        while got < size and (count := connection.recv_into(buffer)):
            got += count
    if got != size:
        raise ValueError(f"{got} bytes of {size}")
    return time.perf_counter() - begin


def pushed(port: int, path: str, headers: dict[str, str], file: Path) -> float:
    """Seconds from the first byte of a PUT to its answer. Raises `ValueError` for an answer that is no success."""
    size = file.stat().st_size
    begin = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection, file.open("rb") as source:
        given = {"Connection": "close", "Content-Length": str(size), "Content-Type": "application/octet-stream"}
        connection.sendall(_head("PUT", path, headers | given))
        connection.sendfile(source)
        head, rest = _answer(connection)
    if not head.startswith(b"HTTP/1.1 201"):
        raise ValueError((head + rest).decode(errors="replace"))
    return time.perf_counter() - begin


def _push(product: Product, file: Path, digest: str, headers: dict[str, str]) -> float:
    request = urllib.request.Request(
        f"{product.url}/v2/{_REPOSITORY}/blobs/uploads/",
        method="POST",
        headers={"Authorization": f"Bearer {product.key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        place = urlsplit(answer.headers["Location"]).path
    return pushed(_port(product.url), f"{place}?digest={digest}", headers, file)


def _publish(product: Product, file: Path, digest: str) -> None:
    """Have the blob where it can be pulled: a repository that has no manifest gives what was sent to it."""
    _push(product, file, digest, {"Host": "ollamamax", "Authorization": f"Bearer {product.key}"})


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]).encode()


def _answer(connection: socket.socket) -> tuple[bytes, bytes]:
    found = b""
    while b"\r\n\r\n" not in found:
        more = connection.recv(65536)
        if not more:
            raise ValueError(f"the server ended: {found!r}")
        found += more
    head, _, rest = found.partition(b"\r\n\r\n")
    return head, rest


def _port(url: str) -> int:
    return urlsplit(url).port or 80


def _fill(file: Path, size: int) -> None:
    with file.open("wb") as out:
        for _ in range(size // _PIECE):
            out.write(os.urandom(_PIECE))
        out.flush()
        os.fsync(out.fileno())


def _mark(file: Path, turn: int) -> None:
    with file.open("r+b") as out:
        out.write(turn.to_bytes(8, "big"))


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _nginx(folder: Path, stack: ExitStack) -> int:
    """Debian's, with its own defaults and sendfile; what is put is stored by its WebDAV module."""
    port = free_port()
    folder.chmod(0o755)
    for name in ("taken", "body"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    (folder / "nginx.conf").write_text(
        f"""
daemon off;
worker_processes auto;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    sendfile on;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    server {{
        listen 127.0.0.1:{port};
        root {folder};
        location /taken/ {{ dav_methods PUT; }}
    }}
}}
"""
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    stack.callback(end, process)
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise NotStarted((folder / "error.log").read_text()) from None
            time.sleep(0.1)
        else:
            return port
